// Fills the templates of web/ from the view models. The only file that names the template library.
//
// Two kinds of value go in: text for people (`say`), in which characters that would reorder or hide what
// stands beside them are made visible, and exact values (`put`) for hidden members and URLs, which are only
// escaped. Names from the registry also stand in <bdi>, so right-to-left text stays within its own bounds.
#include "console/templates.h"

#include <ctemplate/template.h>
#include <ctemplate/template_cache.h>
#include <ctemplate/template_dictionary.h>
#include <ctemplate/template_emitter.h>

#include <array>
#include <stdexcept>

#include "base/bytes.h"
#include "crypto/hash.h"

namespace behalf::console {
namespace {

using ctemplate::TemplateDictionary;

constexpr auto kStrip = ctemplate::STRIP_BLANK_LINES;
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD
constexpr std::array<std::string_view, 11> kTemplates = {
    "layout.html", "login.html", "consent.html", "agents.html", "agent.html",    "delegation.html",
    "onward.html", "error.html", "notice.html",  "home.html",   "form_post.html"};

ctemplate::TemplateString view(std::string_view text) { return {text.data(), text.size()}; }

// How many bytes at the start of `text` are a character that has no business in a name: a control character,
// or one that overrides or embeds direction (U+202A to U+202E, U+2066 to U+2069). The plain direction marks
// stay: Arabic and Hebrew names need them.
size_t unwanted_length(std::string_view text) {
  const auto at = [&](size_t index) {
    return index < text.size() ? static_cast<unsigned char>(text[index]) : static_cast<unsigned char>(0);
  };
  const unsigned char first = at(0);
  if (first == '\n' || first == '\t' || first == '\r') return 0;
  if (first < 0x20 || first == 0x7F) return 1;
  if (first == 0xC2 && at(1) >= 0x80 && at(1) < 0xA0) return 2;
  if (first != 0xE2) return 0;
  if (at(1) == 0x80 && at(2) >= 0xAA && at(2) <= 0xAE) return 3;
  if (at(1) == 0x81 && at(2) >= 0xA6 && at(2) <= 0xA9) return 3;
  return 0;
}

std::string readable(std::string_view text) {
  const bool is_text = is_utf8(text);
  std::string result;
  result.reserve(text.size());
  for (size_t index = 0; index < text.size();) {
    const bool is_stray = !is_text && static_cast<unsigned char>(text[index]) >= 0x80;
    const size_t unwanted = is_stray ? 1 : unwanted_length(text.substr(index));
    if (unwanted == 0) {
      result += text[index++];
    } else {
      result += kReplacement;
      index += unwanted;
    }
  }
  return result;
}

void put(TemplateDictionary& dictionary, std::string_view name, std::string_view exact) {
  dictionary.SetValue(view(name), view(exact));
}

void say(TemplateDictionary& dictionary, std::string_view name, std::string_view text) {
  put(dictionary, name, readable(text));
}

void show(TemplateDictionary& dictionary, std::string_view section) { dictionary.ShowSection(view(section)); }

void show_if(bool condition, TemplateDictionary& dictionary, std::string_view section) {
  if (condition) show(dictionary, section);
}

TemplateDictionary& add(TemplateDictionary& dictionary, std::string_view section) {
  return *dictionary.AddSectionDictionary(view(section));
}

TemplateDictionary& include(TemplateDictionary& dictionary, std::string_view name, std::string_view file) {
  TemplateDictionary& included = *dictionary.AddIncludeDictionary(view(name));
  included.SetFilename(view(file));
  return included;
}

const std::string& or_else(const std::string& text, const std::string& otherwise) {
  return text.empty() ? otherwise : text;
}

// A section with the text in it where there is any.
void say_if_any(TemplateDictionary& dictionary, std::string_view section, std::string_view name,
                std::string_view text) {
  if (text.empty()) return;
  show(dictionary, section);
  say(dictionary, name, text);
}

// "24 Nov 2026, 21:30 UTC" from "2026-11-24T21:30:00Z".
std::string for_people(const std::string& time) {
  constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  if (time.size() != 20) return time;  // beyond the year 9999
  const size_t month = static_cast<size_t>((time[5] - '0') * 10 + (time[6] - '0'));
  const std::string_view rest(time);
  std::string text(rest.substr(time[8] == '0' ? 9 : 8, time[8] == '0' ? 1 : 2));
  text.append(" ").append(kMonths.at(month - 1)).append(" ").append(rest.substr(0, 4));
  return text.append(", ").append(rest.substr(11, 5)).append(" UTC");
}

void say_time(TemplateDictionary& dictionary, std::string_view section, const std::optional<UnixTime>& time) {
  if (!time) {
    show(dictionary, std::string(section) + "_NOT");
    return;
  }
  const std::string machine = rfc3339(*time);
  TemplateDictionary& shown = add(dictionary, section);
  put(shown, "AT", machine);
  put(shown, "SAID", for_people(machine));
}

void fill_onward(TemplateDictionary& page, const Onward& onward) {
  TemplateDictionary& dictionary = include(page, "ONWARD", "onward.html");
  if (onward.further_steps <= 0) {
    show(dictionary, "KEEPS");
    return;
  }
  TemplateDictionary& shown = add(dictionary, "HANDS_ON");
  show_if(onward.agents.empty(), shown, "TO_ANY");
  for (const std::string& agent : onward.agents) say(add(shown, "TO"), "AGENT", agent);
  const std::string steps = std::to_string(onward.further_steps);
  put(shown, "STEPS", steps + (onward.further_steps == 1 ? " further step" : " further steps"));
}

TemplateDictionary& fill_agent(TemplateDictionary& page, const AgentFacts& agent, std::string_view heading) {
  static const std::string kNotStated = "not stated";
  TemplateDictionary& dictionary = include(page, "AGENT", "agent.html");
  put(dictionary, "HEADING_ID", heading);
  say(dictionary, "NAME", agent.name);
  say(dictionary, "PUBLISHER", or_else(agent.publisher, kNotStated));
  say(dictionary, "OWNER", or_else(agent.owner, kNotStated));
  say(dictionary, "ID", agent.id);
  say_if_any(dictionary, "HAS_DESCRIPTION", "DESCRIPTION", agent.description);
  return dictionary;
}

// The bar that says who is signed in, with the one button that ends or changes that.
TemplateDictionary& fill_person(TemplateDictionary& layout, const Person& person, const std::string& action,
                                const std::string& csrf, std::string_view button) {
  TemplateDictionary& dictionary = add(layout, "SIGNED_IN");
  say(dictionary, "DISPLAY_NAME", or_else(person.display_name, person.username));
  say(dictionary, "USERNAME", person.username);
  put(dictionary, "ACTION", action);
  put(dictionary, "CSRF", csrf);
  put(dictionary, "BUTTON", button);
  return dictionary;
}

void fill_link(TemplateDictionary& dictionary, const Link& link) {
  TemplateDictionary& shown = add(dictionary, "HAS_LINK");
  put(shown, "LINK_URL", link.url);
  say(shown, "LINK_TEXT", link.text);
}

void fill_resources(TemplateDictionary& dictionary, const std::vector<ResourceFacts>& resources) {
  for (const ResourceFacts& resource : resources) {
    TemplateDictionary& shown = add(dictionary, "RESOURCE");
    say(shown, "RESOURCE_NAME", or_else(resource.name, resource.identifier));
    say(shown, "RESOURCE_ID", resource.identifier);
  }
}

void fill_permissions(TemplateDictionary& dictionary, const std::vector<Permission>& permissions) {
  show(dictionary, permissions.empty() ? "NO_PERMISSION" : "ANY_PERMISSION");
  size_t number = 0;
  for (const Permission& permission : permissions) {
    TemplateDictionary& shown = add(dictionary, "PERMISSION");
    put(shown, "NUMBER", std::to_string(++number));
    put(shown, "SCOPE", permission.scope);
    say(shown, "SCOPE_NAME", permission.scope);
    say(shown, "PERMISSION_TITLE", or_else(permission.title, permission.scope));
    say_if_any(shown, "HAS_PERMISSION_DESCRIPTION", "PERMISSION_DESCRIPTION", permission.description);
    show_if(permission.is_checked, shown, "CHECKED");
    show_if(permission.is_new, shown, "NEW");
  }
}

// Agent, app and service: the three that a person must be able to tell apart.
void fill_parties(TemplateDictionary& body, const ConsentPage& page) {
  say(body, "CLIENT_NAME", or_else(page.client.name, page.client.id));
  say(body, "CLIENT_ID", page.client.id);
  say(body, "CLIENT_HOST", page.client.host);
  fill_resources(body, page.resources);
  const bool client_is_the_agent = page.agent && page.client_is_the_agent;
  show_if(!client_is_the_agent, body, "CLIENT");
  if (!page.agent) {
    show(body, "BY_APP");
    return;
  }
  show(body, "BY_AGENT");
  show(body, client_is_the_agent ? "CLIENT_IS_AGENT" : "THROUGH_CLIENT");
  say(body, "AGENT_NAME", page.agent->name);
  TemplateDictionary& agent = fill_agent(body, *page.agent, "agent-name");
  if (!client_is_the_agent) return;
  show(agent, "RECEIVES");
  say(agent, "HOST", page.client.host);
  say(agent, "CLIENT_ID", page.client.id);
}

void fill_delegation(TemplateDictionary& group, const AgentsPage& page, const DelegationEntry& delegation,
                     size_t number) {
  const bool is_active = delegation.ended_because.empty();
  TemplateDictionary& shown =
      include(add(group, is_active ? "ACTIVE" : "ENDED"), "DELEGATION", "delegation.html");
  put(shown, "NUMBER", std::to_string(number));
  put(shown, "REVOKE_ACTION", page.revoke_action);
  put(shown, "CSRF", page.csrf);
  put(shown, "DELEGATION_ID", delegation.id);
  show(shown, is_active ? "IS_ACTIVE" : "IS_ENDED");
  say(shown, "CAUSE", delegation.ended_because);
  say(shown, "CLIENT_NAME", or_else(delegation.client_name, delegation.client_id));
  say(shown, "CLIENT_ID", delegation.client_id);
  fill_resources(shown, delegation.resources);
  show(shown, delegation.works_while_away ? "OFFLINE" : "ONLINE");
  say_if_any(shown, "HAS_PURPOSE", "PURPOSE", delegation.purpose);
  show_if(!delegation.scopes.empty(), shown, "ANY_SCOPE");
  for (const std::string& scope : delegation.scopes) say(add(shown, "SCOPE"), "WORDS", scope);
  say_time(shown, "GIVEN", delegation.given_at);
  say_time(shown, "USED", delegation.last_used_at);
  say_time(shown, "ENDS", delegation.ends_at);
  if (is_active) fill_onward(add(shown, "PASSING_ON"), delegation.onward);
}

void fill_taken_back(TemplateDictionary& body, const TakenBack& taken_back) {
  TemplateDictionary& shown = add(body, "TAKEN_BACK");
  say(shown, "FROM", taken_back.from);
  const auto name_each = [](TemplateDictionary& where, std::string_view all, std::string_view each,
                            const std::vector<std::string>& services) {
    if (services.empty()) return;
    TemplateDictionary& list = add(where, all);
    for (const std::string& service : services) say(add(list, each), "SERVICE", service);
  };
  name_each(shown, "LOST_AT", "LOST", taken_back.lost);
  if (taken_back.still == 0) return show(shown, "HOLDS_NO_OTHER");
  TemplateDictionary& still = add(shown, "STILL_HOLDS");
  put(still, "COUNT",
      taken_back.still == 1 ? "another permission" : std::to_string(taken_back.still) + " other permissions");
  name_each(still, "KEPT_AT", "KEPT", taken_back.kept);
}

}  // namespace

struct Templates::Parsed {
  ctemplate::TemplateCache cache;
  Assets assets;
  std::string consent_version;

  // The body of a page is a file included by the layout.
  struct Sheet {
    TemplateDictionary layout{"page"};
    TemplateDictionary& body;

    Sheet(const Parsed& parsed, std::string_view title, std::string_view file)
        : body(include(layout, "BODY", file)) {
      say(layout, "TITLE", title);
      put(layout, "STYLE_URL", parsed.assets.style_url);
      put(layout, "ICON_URL", parsed.assets.icon_url);
    }
  };

  std::string print(const Sheet& sheet) const {
    std::string html;
    if (!cache.ExpandNoLoad("layout.html", kStrip, &sheet.layout, nullptr, &html)) {
      throw std::logic_error("a page template is missing");
    }
    return html;
  }
};

Templates::Templates(std::span<const EmbeddedFile> files, Assets assets) {
  auto parsed = std::make_unique<Parsed>();
  parsed->assets = std::move(assets);
  size_t loaded = 0;
  for (const std::string_view name : kTemplates) {
    for (const EmbeddedFile& file : files) {
      if (file.name != name) continue;
      if (parsed->cache.StringToTemplateCache(view(name), view(file.text), kStrip)) ++loaded;
    }
  }
  if (loaded != kTemplates.size()) throw std::logic_error("a page template is missing or does not parse");
  parsed->cache.Freeze();
  std::string words;
  for (const EmbeddedFile& file : files) {
    if (file.name == "consent.html" || file.name == "agent.html" || file.name == "onward.html")
      words += file.text;
  }
  parsed->consent_version = hex(as_text(crypto::sha256(words))).substr(0, 12);
  parsed_ = std::move(parsed);
}

Templates::~Templates() = default;

std::string_view Templates::consent_version() const { return parsed_->consent_version; }

std::string Templates::render(const LoginPage& page) const {
  Parsed::Sheet sheet(*parsed_, "Sign in", "login.html");
  TemplateDictionary& body = sheet.body;
  put(body, "ACTION", page.action);
  put(body, "CSRF", page.csrf);
  put(body, "REQUEST", page.request);
  put(body, "USERNAME", page.username);
  show(body, page.username.empty() ? "FOCUS_USERNAME" : "FOCUS_PASSWORD");
  say_if_any(body, "FOR_CLIENT", "CLIENT_NAME", page.client_name);
  say_if_any(body, "FOR_AGENT", "AGENT_NAME", page.agent_name);
  say_if_any(body, "HAS_PUBLISHER", "AGENT_PUBLISHER", page.agent_publisher);
  say_if_any(body, "HAS_ERROR", "ERROR", page.error);
  return parsed_->print(sheet);
}

std::string Templates::render(const ConsentPage& page) const {
  Parsed::Sheet sheet(*parsed_, "Permission", "consent.html");
  TemplateDictionary& person = fill_person(sheet.layout, page.person, page.switch_account_action, page.csrf,
                                           "Not you? Switch account");
  show(person, "HAS_REQUEST");
  put(person, "REQUEST", page.request);
  TemplateDictionary& body = sheet.body;
  put(body, "ACTION", page.action);
  put(body, "CSRF", page.csrf);
  put(body, "REQUEST", page.request);
  say(body, "DISPLAY_NAME", or_else(page.person.display_name, page.person.username));
  fill_parties(body, page);
  fill_permissions(body, page.permissions);
  if (page.longest) {
    show(body, "AT_MOST");
    put(body, "LONGEST", in_words(*page.longest));
  }
  show(body, page.works_while_away ? "OFFLINE" : "ONLINE");
  fill_onward(body, page.onward);
  show_if(page.onward.further_steps > 0 && page.agent.has_value(), body, "MAY_HAND_ON");
  say_if_any(body, "HAS_PURPOSE", "PURPOSE", page.purpose);
  return parsed_->print(sheet);
}

std::string Templates::render(const AgentsPage& page) const {
  Parsed::Sheet sheet(*parsed_, "My agents", "agents.html");
  fill_person(sheet.layout, page.person, page.sign_out_action, page.csrf, "Sign out");
  TemplateDictionary& body = sheet.body;
  if (page.taken_back) fill_taken_back(body, *page.taken_back);
  show_if(page.agents.empty(), body, "EMPTY");
  put(body, "REVOKE_AGENT_ACTION", page.revoke_agent_action);
  put(body, "CSRF", page.csrf);
  size_t group_number = 0;
  size_t number = 0;
  for (const AgentEntry& entry : page.agents) {
    TemplateDictionary& group = add(body, "GROUP");
    const std::string heading = std::to_string(++group_number);
    put(group, "GROUP_NUMBER", heading);
    size_t active = 0;
    for (const DelegationEntry& delegation : entry.delegations) {
      active += delegation.ended_because.empty() ? 1U : 0U;
      fill_delegation(group, page, delegation, ++number);
    }
    const size_t ended = entry.delegations.size() - active;
    show_if(active == 0, group, "NONE_ACTIVE");
    show_if(ended > 0, group, "ANY_ENDED");
    put(group, "ENDED_COUNT", std::to_string(ended) + (page.ended_shown > 0 ? " shown" : ""));
    show(group, entry.agent ? "IS_AGENT" : "IS_APP");
    if (!entry.agent) continue;
    fill_agent(group, *entry.agent, "group-" + heading);
    show_if(active > 0, group, "REVOKE_ALL");
    put(group, "AGENT_ID", entry.agent->id);
  }
  if (page.ended_shown > 0) put(add(body, "ENDED_LEFT_OUT"), "ENDED_SHOWN", std::to_string(page.ended_shown));
  return parsed_->print(sheet);
}

std::string Templates::render(const ErrorPage& page) const {
  Parsed::Sheet sheet(*parsed_, page.title, "error.html");
  say(sheet.body, "HEADING", page.title);
  say(sheet.body, "MESSAGE", page.message);
  say_if_any(sheet.body, "HAS_HINT", "HINT", page.hint);
  say_if_any(sheet.body, "HAS_REFERENCE", "REFERENCE", page.reference);
  say_if_any(sheet.body, "HAS_DETAIL", "DETAIL", page.detail);
  if (page.link) fill_link(sheet.body, *page.link);
  return parsed_->print(sheet);
}

std::string Templates::render(const NoticePage& page) const {
  Parsed::Sheet sheet(*parsed_, page.title, "notice.html");
  say(sheet.body, "HEADING", page.title);
  say(sheet.body, "MESSAGE", page.message);
  if (page.link) fill_link(sheet.body, *page.link);
  return parsed_->print(sheet);
}

std::string Templates::render(const HomePage& page) const {
  Parsed::Sheet sheet(*parsed_, "Home", "home.html");
  say(sheet.body, "ISSUER", page.issuer);
  put(sheet.body, "AGENTS_URL", page.agents_url);
  show_if(!page.metadata.empty(), sheet.body, "ANY_METADATA");
  for (const Link& link : page.metadata) {
    TemplateDictionary& shown = add(sheet.body, "METADATA");
    put(shown, "METADATA_URL", link.url);
    say(shown, "METADATA_TEXT", link.text);
  }
  return parsed_->print(sheet);
}

std::string Templates::render(const FormPostPage& page) const {
  Parsed::Sheet sheet(*parsed_, "Continue", "form_post.html");
  TemplateDictionary& body = sheet.body;
  put(body, "ACTION", page.action);
  say(body, "CLIENT_NAME", page.client_name);
  say(body, "HOST", page.host);
  for (const auto& [name, value] : page.fields) {
    TemplateDictionary& shown = add(body, "FIELD");
    put(shown, "FIELD_NAME", name);
    put(shown, "FIELD_VALUE", value);
  }
  return parsed_->print(sheet);
}

}  // namespace behalf::console
