// What people see: /authorize, sign-in, consent, "my agents". Pages in, decisions out; the rules are oauth's.
#pragma once

#include <memory>

#include "base/result.h"
#include "base/task.h"
#include "console/session.h"
#include "console/templates.h"
#include "http/message.h"
#include "oauth/authorize.h"
#include "oauth/consent.h"
#include "oauth/services.h"

namespace behalf::console {

class FrontChannel {
 public:
  FrontChannel(oauth::Services& services, const Templates& templates);

  Task<http::Response> authorize(http::Request& request);       // GET and POST /authorize
  Task<http::Response> show_login(http::Request& request);      // GET /login
  Task<http::Response> login(http::Request& request);           // POST /login
  Task<http::Response> show_consent(http::Request& request);    // GET /consent
  Task<http::Response> decide_consent(http::Request& request);  // POST /consent
  Task<http::Response> switch_account(http::Request& request);  // POST /switch-account
  Task<http::Response> show_agents(http::Request& request);     // GET /agents
  Task<http::Response> revoke(http::Request& request);          // POST /agents/revoke
  Task<http::Response> revoke_agent(http::Request& request);    // POST /agents/revoke-agent
  Task<http::Response> sign_out(http::Request& request);        // POST /sign-out
  http::Response home() const;                                  // GET /
  http::Response not_found() const;

 private:
  struct Visitor;
  // What a page says to the person, in whole sentences: only what is known to be true.
  struct Words {
    std::string title;
    std::string message;
    std::string hint;
    std::optional<Link> link;
  };
  enum class Unusable { kUnknown, kAnswered, kTooOld };

  Task<Visitor> who(oauth::Call& call);
  Task<http::Response> advance(oauth::Call& call, const AuthorizationRequest& request,
                               const Visitor& visitor);
  Task<http::Response> answer_with_code(oauth::Call& call, const oauth::Offer& offer, const Session& session,
                                        const Grant& covering);
  Task<http::Response> refuse_to_client(oauth::Call& call, const oauth::ReturnAddress& to,
                                        oauth::OAuthError error);
  Task<http::Response> open_pushed(oauth::Call& call, const http::Form& form, const Visitor& visitor);
  Task<Result<AuthorizationRequest, Unusable>> load_request(oauth::Call& call, std::string_view id,
                                                            const Visitor& visitor);
  Task<http::Response> refuse_with_page(oauth::Call& call, oauth::OAuthError error, Words words,
                                        int status = 400);
  Task<http::Response> refuse_request(oauth::Call& call, oauth::OAuthError error);
  Task<http::Response> refuse_unusable(oauth::Call& call, Unusable why);
  // A form that cannot be read, or is none of ours; `not_done` is one sentence.
  Task<http::Response> refuse_unreadable(oauth::Call& call, oauth::OAuthError error,
                                         std::string_view not_done);
  Task<http::Response> refuse_form(oauth::Call& call, std::string_view not_done);
  Words words_for(Unusable why) const;
  http::Response unusable_page(oauth::Call& call, Unusable why) const;
  // Why a form of "my agents" is not taken; nothing: it is.
  std::optional<Words> why_not_taken(oauth::Call& call, const Visitor& visitor, const http::Form& form,
                                     bool is_sign_out) const;
  Task<http::Response> end_my_grants(oauth::Call& call, bool whole_agent);

  http::Response page(int status, std::string html, std::string_view form_target = {}) const;
  http::Response respond(const oauth::ReturnAddress& to, const oauth::ResponseParameters& parameters) const;
  http::Response consent_page(const oauth::Offer& offer, const Session& session) const;
  http::Response login_page(const oauth::Call& call, const Visitor& visitor,
                            const AuthorizationRequest* request, std::string_view username,
                            std::string_view error, int status) const;
  std::string path(std::string_view suffix) const;
  // Who is asked for what, as the limit on prompts counts it.
  static std::string prompt_name(const std::optional<Session>& session, const AuthorizationRequest& request);
  std::string seal(std::string_view purpose, std::string_view a, std::string_view b) const;

  oauth::Services& services_;
  const Templates& templates_;
  Cookies cookies_;
  std::string base_path_;  // the path of the issuer; "" for most
};

}  // namespace behalf::console
