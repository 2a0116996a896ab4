// The pages people see: sign-in, consent, "my agents", errors. View models in, HTML out.
//
// A view model is a plain struct of what the page says; nothing here asks a store or reads a request. Callers
// fill it from the registry and from checked values only. Every value is escaped for the place where it
// stands (the templates are auto-escaped), so a hostile name is text and a hostile URL becomes "#". The pages
// hold no script and no inline style: a policy of `default-src 'none'; style-src 'self'; img-src 'self'
// data:` fits them.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/embedded.h"
#include "base/time.h"

namespace behalf::console {

// The names of the form members that the pages send.
namespace field {
inline constexpr std::string_view kCsrf = "csrf";
inline constexpr std::string_view kRequest = "request";    // LoginPage, ConsentPage
inline constexpr std::string_view kUsername = "username";  // LoginPage
inline constexpr std::string_view kPassword = "password";  // LoginPage
inline constexpr std::string_view kScope = "scope";        // ConsentPage: one for each permission kept
inline constexpr std::string_view kOnward = "onward";  // ConsentPage: kAllow where the agent may pass it on
inline constexpr std::string_view kDecision = "decision";      // ConsentPage: kAllow or kDeny
inline constexpr std::string_view kDelegation = "delegation";  // AgentsPage: revoke this one
inline constexpr std::string_view kAgent = "agent";            // AgentsPage: revoke everything for this agent
inline constexpr std::string_view kAllow = "allow";
inline constexpr std::string_view kDeny = "deny";
}  // namespace field

struct Person {
  std::string display_name;  // where empty, the username stands for it
  std::string username;
};

struct AgentFacts {
  std::string name;
  std::string publisher;
  std::string owner;
  std::string id;
  std::string description;
};

struct ClientFacts {
  std::string name;
  std::string id;
  std::string host;  // of the redirect URI: where the code goes
};

struct ResourceFacts {
  std::string name;
  std::string identifier;
};

struct Permission {
  std::string scope;
  std::string title;  // where empty, the scope's own name stands for it
  std::string description;
  bool is_checked = true;
  bool is_new = false;
};

// To whom the agent may hand parts of its permission, and over how many further steps. No steps: not at all.
struct Onward {
  int further_steps = 0;
  std::vector<std::string> agents;  // names; empty means "other software agents"
};

struct Link {
  std::string text;
  std::string url;
};

struct LoginPage {
  std::string action;
  std::string csrf;
  std::string request;
  std::string username;     // prefill
  std::string error;        // one generic sentence, or empty
  std::string client_name;  // empty: nothing is waiting for the sign-in
  std::string agent_name;   // empty: the request names no agent
  std::string agent_publisher;
};

struct ConsentPage {
  std::string action;
  std::string switch_account_action;  // "not you?": a form of its own with csrf and request
  std::string csrf;
  std::string request;
  Person person;
  std::optional<AgentFacts> agent;  // none: a plain app asks for itself
  bool client_is_the_agent = false;
  ClientFacts client;
  std::vector<ResourceFacts> resources;
  std::vector<Permission> permissions;
  std::optional<Seconds> longest;  // none: until revoked
  bool works_while_away = false;   // refresh tokens without a session
  Onward onward;
  std::string purpose;  // what the requester says it is for, in the registry's words; or empty
};

struct DelegationEntry {
  std::string id;
  std::string client_name;
  std::string client_id;
  std::vector<ResourceFacts> resources;
  std::vector<std::string> scopes;  // in words
  std::optional<UnixTime> given_at;
  std::optional<UnixTime> last_used_at;
  std::optional<UnixTime> ends_at;  // for an ended one: when it ended
  std::string ended_because;        // empty: active
  bool works_while_away = false;
  std::string purpose;  // as the person read it; or empty
  Onward onward;        // of an ended one nothing is said
};

struct AgentEntry {
  std::optional<AgentFacts> agent;  // none: apps without an agent
  std::vector<DelegationEntry> delegations;
};

// What the person took back a moment ago, and what the same agent (or app) still has.
struct TakenBack {
  std::string from;               // the name
  std::vector<std::string> lost;  // names of services
  size_t still = 0;               // permissions
  std::vector<std::string> kept;  // names of services
};

struct AgentsPage {
  Person person;
  std::string sign_out_action;
  std::string revoke_action;
  std::string revoke_agent_action;
  std::string csrf;
  std::optional<TakenBack> taken_back;
  std::vector<AgentEntry> agents;
  size_t ended_shown = 0;  // where older ended ones are left out: how many are there; else 0
};

// None of these may be made of request text: the page would speak with a stranger's voice.
struct ErrorPage {
  std::string title;
  std::string message;  // for the person: whole sentences
  std::string hint;
  std::string reference;
  std::string detail = {};  // for whoever made the app, in the protocol's words; or empty
  std::optional<Link> link = {};
};

struct NoticePage {
  std::string title;
  std::string message;
  std::optional<Link> link;
};

struct HomePage {
  std::string issuer;
  std::string agents_url;
  std::vector<Link> metadata;
};

// response_mode=form_post without script: the person presses Continue. `action` must be http or https; any
// other scheme is replaced by "#", so a caller refuses this mode for such a redirect URI.
struct FormPostPage {
  std::string action;
  std::string client_name;
  std::string host;
  std::vector<std::pair<std::string, std::string>> fields;
};

// Holds the parsed templates; immutable after construction, so any thread may render.
class Templates {
 public:
  // Where the style and the icon are served.
  struct Assets {
    std::string style_url;
    std::string icon_url;
  };

  // Throws std::logic_error where a page's template is missing or does not parse: the build is broken.
  Templates(std::span<const EmbeddedFile> files, Assets assets);
  ~Templates();
  Templates(const Templates&) = delete;
  Templates& operator=(const Templates&) = delete;

  // Which words the consent page has: the same as long as its templates are. They are in English (kLocale).
  std::string_view consent_version() const;
  static constexpr std::string_view kLocale = "en";

  std::string render(const LoginPage& page) const;
  std::string render(const ConsentPage& page) const;
  std::string render(const AgentsPage& page) const;
  std::string render(const ErrorPage& page) const;
  std::string render(const NoticePage& page) const;
  std::string render(const HomePage& page) const;
  std::string render(const FormPostPage& page) const;

 private:
  struct Parsed;
  std::unique_ptr<const Parsed> parsed_;
};

}  // namespace behalf::console
