// The pages: every fact a person decides on is there, and no text that others wrote can be more than text.
#include "console/templates.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <regex>
#include <set>
#include <stdexcept>
#include <thread>

namespace behalf::console {
namespace {

// A name that tries everything: mark-up, quotes, template syntax, an override of direction, a control
// character.
const std::string kHostile =
    "\"'><img src=x onerror=alert(1)>{{CSRF}}{{>BODY}}\xE2\x80\xAEgpj\xE2\x81\xA6\x01</bdi>";
const std::string kHostileAsText =
    "&quot;&#39;&gt;&lt;img src=x "
    "onerror=alert(1)&gt;{{CSRF}}{{&gt;BODY}}\xEF\xBF\xBDgpj\xEF\xBF\xBD\xEF\xBF\xBD"
    "&lt;/bdi&gt;";

size_t count(const std::string& html, std::string_view part) {
  size_t found = 0;
  for (size_t at = html.find(part); at != std::string::npos; at = html.find(part, at + part.size())) ++found;
  return found;
}

bool has(const std::string& html, std::string_view part) { return html.find(part) != std::string::npos; }

std::string_view file(std::string_view name) {
  for (const EmbeddedFile& embedded : embedded_web()) {
    if (embedded.name == name) return embedded.text;
  }
  return {};
}

const Templates& pages() {
  static const Templates templates(embedded_web(), {"/assets/style.css?v=abc123", "/assets/icon.svg"});
  return templates;
}

LoginPage login() {
  LoginPage page;
  page.action = "/login";
  page.csrf = "csrf-token-1";
  page.request = "request-id-1";
  page.username = "anna";
  page.client_name = "Deskmate";
  page.agent_name = "Research Scout";
  page.agent_publisher = "Northwind Labs";
  return page;
}

ConsentPage consent() {
  ConsentPage page;
  page.action = "/consent";
  page.switch_account_action = "/switch";
  page.csrf = "csrf-token-1";
  page.request = "request-id-1";
  page.person = {"Anna Weber", "anna.weber"};
  page.agent =
      AgentFacts{"Research Scout", "Northwind Labs", "Contoso Insights", "agt_5f1c", "Reads papers."};
  page.client = {"Deskmate", "cli_desk", "deskmate.example"};
  page.resources = {{"Calendar", "https://calendar.example/api"}};
  page.permissions = {{"calendar.read", "Read your calendar", "See events.", true, false},
                      {"calendar.write", "Change events", "Create events.", false, true}};
  page.longest = Seconds{30 * 86400};
  page.works_while_away = true;
  page.onward = {1, {"Paper Finder", "Slot Matcher"}};
  page.purpose = "Prepare the review";
  return page;
}

DelegationEntry delegation(const std::string& id) {
  DelegationEntry entry;
  entry.id = id;
  entry.client_name = "Deskmate";
  entry.client_id = "cli_desk";
  entry.resources = {{"Calendar", "https://calendar.example/api"}, {"Mail", "https://mail.example/api"}};
  entry.scopes = {"Read your calendar", "Change events"};
  entry.given_at = UnixTime::from_seconds(1764000000);
  entry.ends_at = UnixTime::from_seconds(1766592000);
  return entry;
}

AgentsPage agents() {
  AgentsPage page;
  page.person = {"Anna Weber", "anna.weber"};
  page.sign_out_action = "/logout";
  page.revoke_action = "/agents/revoke";
  page.revoke_agent_action = "/agents/revoke-agent";
  page.csrf = "csrf-token-1";
  page.agents.push_back({consent().agent, {delegation("dlg_1"), delegation("dlg_2")}});
  return page;
}

// One of each page, with `text` in every place that takes text from others.
std::vector<std::string> everything(const std::string& text) {
  LoginPage sign_in = login();
  sign_in.username = sign_in.client_name = sign_in.agent_name = sign_in.agent_publisher = text;
  sign_in.csrf = sign_in.request = sign_in.error = text;
  ConsentPage ask = consent();
  ask.csrf = ask.request = ask.purpose = text;
  ask.person = {text, text};
  ask.agent = AgentFacts{text, text, text, text, text};
  ask.client = {text, text, text};
  ask.resources = {{text, text}, {text, text}};
  ask.permissions = {{text, text, text, true, true}};
  ask.onward = {2, {text, text}};
  ConsentPage own = ask;
  own.client_is_the_agent = true;
  ConsentPage app = ask;
  app.agent.reset();
  AgentsPage list = agents();
  list.person = {text, text};
  list.csrf = text;
  list.taken_back = TakenBack{text, {text}, 1, {text}};
  DelegationEntry entry = delegation(text);
  entry.client_name = entry.client_id = text;
  entry.resources = {{text, text}, {text, text}};
  entry.scopes = {text, text};
  entry.purpose = text;
  entry.onward = {1, {text}};
  DelegationEntry ended = entry;
  ended.ended_because = text;
  list.agents = {{ask.agent, {entry, ended}}, {std::nullopt, {entry}}};
  return {pages().render(sign_in),
          pages().render(ask),
          pages().render(own),
          pages().render(app),
          pages().render(list),
          pages().render(ErrorPage{text, text, text, text, text, Link{text, "/agents"}}),
          pages().render(NoticePage{text, text, Link{text, "/login"}}),
          pages().render(HomePage{text, "/agents", {{text, "/jwks"}}}),
          pages().render(FormPostPage{"https://app.example/cb", text, text, {{text, text}}})};
}

// The text a reader sees or hears: the page without its tags.
std::string visible(const std::string& html) { return std::regex_replace(html, std::regex("<[^>]*>"), ""); }

TEST(Templates, a_hostile_text_is_only_text_on_every_page) {
  for (const std::string& html : everything(kHostile)) {
    EXPECT_FALSE(has(html, "<img")) << html;
    EXPECT_TRUE(has(html, kHostileAsText)) << html;
    EXPECT_FALSE(has(html, "=\"\"'")) << "a quote closed an attribute";
    EXPECT_FALSE(has(visible(html), "\xE2\x80\xAE")) << "an override of direction is shown";
    EXPECT_EQ(count(html, "<main>"), 1U);
    EXPECT_EQ(count(html, "<bdi"), count(html, "</bdi>"));
  }
}

TEST(Templates, text_that_is_not_utf8_becomes_replacement_characters) {
  ErrorPage page{"Title", "a\xFF\xE2\x80z", "", ""};
  EXPECT_TRUE(has(pages().render(page), "a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDz"));
}

TEST(Templates, right_to_left_names_stay_whole) {
  const std::string name = "\xD7\xA9\xD7\x9C\xD7\x95\xD7\x9D\xE2\x80\x8F!";
  ConsentPage page = consent();
  page.agent->name = name;
  EXPECT_TRUE(has(pages().render(page), ">" + name + "</bdi>"));
}

TEST(Templates, a_url_that_would_run_code_becomes_a_number_sign) {
  for (const std::string url :
       {"javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", "vbscript:x"}) {
    ConsentPage page = consent();
    page.action = page.switch_account_action = url;
    const std::string html = pages().render(page) + pages().render(NoticePage{"T", "m", Link{"go", url}}) +
                             pages().render(FormPostPage{url, "Deskmate", "deskmate.example", {}}) +
                             pages().render(HomePage{"https://id.example", url, {{"keys", url}}});
    EXPECT_FALSE(has(html, url)) << html;
    EXPECT_EQ(count(html, "action=\"#\""), 3U);
    EXPECT_EQ(count(html, "href=\"#\""), 3U);
  }
}

TEST(Templates, no_page_holds_script_inline_style_or_a_foreign_address) {
  const std::regex handler("<[^>]*\\s(on[a-z]+|style|srcdoc|formaction)\\s*=", std::regex::icase);
  const std::regex foreign("(src|href)=\"(https?:)?//", std::regex::icase);
  for (const std::string& html : everything("Plain")) {
    EXPECT_FALSE(has(html, "<script"));
    EXPECT_FALSE(has(html, "<style"));
    EXPECT_FALSE(has(html, "<iframe"));
    EXPECT_FALSE(std::regex_search(html, handler));
    EXPECT_FALSE(std::regex_search(html, foreign));
    EXPECT_TRUE(has(html, "href=\"/assets/style.css?v=abc123\""));
    EXPECT_TRUE(has(html, "href=\"/assets/icon.svg\""));
    EXPECT_TRUE(has(html, "<html lang=\"en\">"));
    EXPECT_EQ(count(html, "<h1"), 1U);
  }
  EXPECT_FALSE(has(std::string(file("style.css")), "@import"));
  EXPECT_FALSE(has(std::string(file("style.css")), "url("));
  EXPECT_FALSE(has(std::string(file("icon.svg")), "<style"));
}

TEST(Templates, ids_are_unique_and_every_reference_has_its_target) {
  const std::regex id_attribute("\\sid=\"([^\"]*)\"");
  const std::regex reference("(?:for|aria-labelledby|aria-describedby)=\"([^\"]*)\"|href=\"#([^\"]+)\"");
  for (const std::string& html : everything("Plain")) {
    std::set<std::string> ids;
    for (std::sregex_iterator at(html.begin(), html.end(), id_attribute), end; at != end; ++at) {
      EXPECT_TRUE(ids.insert((*at)[1]).second) << (*at)[1];
    }
    for (std::sregex_iterator at(html.begin(), html.end(), reference), end; at != end; ++at) {
      const std::string target = (*at)[1].matched ? (*at)[1] : (*at)[2];
      EXPECT_TRUE(ids.contains(target)) << target;
    }
  }
}

TEST(Templates, every_form_of_ours_carries_the_csrf_token) {
  for (const std::string& html :
       {pages().render(login()), pages().render(consent()), pages().render(agents())}) {
    EXPECT_GT(count(html, "<form"), 0U);
    EXPECT_EQ(count(html, "<form"), count(html, " method=\"post\""));
    EXPECT_EQ(count(html, "<form"), count(html, "name=\"csrf\" value=\"csrf-token-1\""));
  }
}

TEST(LoginPage, says_for_whom_and_about_which_agent) {
  const std::string html = pages().render(login());
  const std::string text = visible(html);
  EXPECT_TRUE(has(text, "to continue to Deskmate"));
  EXPECT_TRUE(has(text, "This is about the software agent Research Scout by Northwind Labs."));
  EXPECT_TRUE(has(html, "action=\"/login\""));
  EXPECT_TRUE(has(html, "name=\"request\" value=\"request-id-1\""));
  EXPECT_TRUE(has(html, "autocomplete=\"username\""));
  EXPECT_TRUE(has(html, "autocomplete=\"current-password\""));
  EXPECT_TRUE(has(html, "<label for=\"username\">"));
  EXPECT_TRUE(has(html, "<label for=\"password\">"));
  EXPECT_FALSE(has(html, "role=\"alert\""));
}

TEST(LoginPage, is_silent_about_a_client_and_an_agent_that_are_not_there) {
  LoginPage page = login();
  page.client_name = page.agent_name = "";
  const std::string text = visible(pages().render(page));
  EXPECT_FALSE(has(text, "to continue"));
  EXPECT_FALSE(has(text, "This is about"));
}

TEST(LoginPage, shows_one_error_and_ties_it_to_the_fields) {
  LoginPage page = login();
  page.error = "The username or the password is not right.";
  const std::string html = pages().render(page);
  EXPECT_EQ(count(html, page.error), 1U);
  EXPECT_TRUE(has(html, "role=\"alert\""));
  EXPECT_EQ(count(html, "aria-describedby=\"sign-in-error\""), 2U);
}

TEST(LoginPage, request_text_stands_in_form_members_and_nowhere_else) {
  LoginPage page = login();
  page.username = "call-this-number-now";
  page.request = "request-text";
  const std::string html = pages().render(page);
  EXPECT_TRUE(has(html, "name=\"username\" type=\"text\" value=\"call-this-number-now\""));
  EXPECT_FALSE(has(visible(html), "call-this-number-now"));
  EXPECT_FALSE(has(visible(html), "request-text"));
  EXPECT_FALSE(has(visible(html), "csrf-token-1"));
}

TEST(ConsentPage, holds_every_fact_the_decision_needs) {
  const std::string html = pages().render(consent());
  const std::string text = visible(html);
  for (const char* fact : {"Anna Weber",
                           "anna.weber",
                           "Research Scout",
                           "Published by Northwind Labs",
                           "Contoso Insights",
                           "agt_5f1c",
                           "Reads papers.",
                           "Deskmate",
                           "cli_desk",
                           "deskmate.example",
                           "Will receive the permission at",
                           "Calendar",
                           "https://calendar.example/api",
                           "Read your calendar",
                           "See events.",
                           "calendar.read",
                           "Change events",
                           "Create events.",
                           "calendar.write",
                           "Until you revoke it, at most 30 days.",
                           "Yes. It may act when you are not there.",
                           "Prepare the review",
                           "Not you? Switch account",
                           "Software, not a person, will act in your name.",
                           "Every action is recorded with the agent’s name, Research Scout, beside yours.",
                           "If you did not just start this in Deskmate, deny."}) {
    EXPECT_TRUE(has(text, fact)) << fact;
  }
  EXPECT_TRUE(has(text, "May Research Scout act in your name?"));
  EXPECT_TRUE(has(text, "It is not a person, and it is not the app Deskmate that brought you here."));
  EXPECT_TRUE(has(text, "May hand parts of this to Paper Finder, Slot Matcher — at most 1 further step"));
}

TEST(ConsentPage, every_permission_can_be_removed_by_itself) {
  const std::string html = pages().render(consent());
  EXPECT_EQ(count(html, "name=\"scope\""), 2U);
  // And whether it may pass it on is a choice of its own.
  EXPECT_EQ(count(html, "name=\"onward\" value=\"allow\" checked>"), 1U);
  EXPECT_TRUE(std::regex_search(
      html,
      std::regex("<input type=\"checkbox\" [^>]*name=\"scope\" value=\"calendar.read\"[^>]* checked>")));
  EXPECT_TRUE(
      std::regex_search(html, std::regex("<input type=\"checkbox\" [^>]*value=\"calendar.write\"[^>]*>")));
  EXPECT_EQ(count(html, " checked>"), 2U);
  EXPECT_EQ(count(visible(html), "New"), 1U);
  EXPECT_TRUE(has(visible(html), "New Change events"));
}

TEST(ConsentPage, allow_and_deny_are_equally_easy_and_enter_denies) {
  const std::string html = pages().render(consent());
  const size_t deny = html.find("<button class=\"choice\" type=\"submit\" name=\"decision\" value=\"deny\">");
  const size_t allow =
      html.find("<button class=\"choice\" type=\"submit\" name=\"decision\" value=\"allow\">");
  ASSERT_NE(deny, std::string::npos);
  ASSERT_NE(allow, std::string::npos);
  EXPECT_LT(deny, allow) << "a form sent by the Enter key takes its first button";
  EXPECT_LT(html.rfind("type=\"checkbox\""), deny) << "the buttons come after what they decide";
}

TEST(ConsentPage, request_text_stands_in_form_members_and_nowhere_else) {
  ConsentPage page = consent();
  page.request = "request-text";
  const std::string html = pages().render(page);
  EXPECT_EQ(count(html, "name=\"request\" value=\"request-text\""), 2U);
  EXPECT_EQ(count(html, "request-text"), 2U);
  EXPECT_FALSE(has(visible(html), "csrf-token-1"));
}

TEST(ConsentPage, a_purpose_is_marked_as_what_the_requester_says) {
  EXPECT_TRUE(
      has(visible(pages().render(consent())), "Says the agent; nobody has checked that it keeps to it."));
  ConsentPage page = consent();
  page.purpose = "";
  EXPECT_FALSE(has(visible(pages().render(page)), "Stated purpose"));
}

TEST(ConsentPage, says_so_where_no_limit_no_absence_and_no_passing_on) {
  ConsentPage page = consent();
  page.longest.reset();
  page.works_while_away = false;
  page.onward = {};
  const std::string text = visible(pages().render(page));
  EXPECT_TRUE(has(text, "Until you revoke it."));
  EXPECT_TRUE(has(text, "No. Only while you use it, and a short time after."));
  EXPECT_TRUE(has(text, "May not pass this on."));
  EXPECT_FALSE(has(text, "May hand parts"));
}

TEST(ConsentPage, passing_on_without_a_list_names_other_agents_and_the_depth) {
  ConsentPage page = consent();
  page.onward = {3, {}};
  EXPECT_TRUE(has(visible(pages().render(page)),
                  "May hand parts of this to other software agents — at most 3 further steps"));
}

TEST(ConsentPage, a_plain_app_is_never_shown_as_an_agent) {
  ConsentPage page = consent();
  page.agent.reset();
  const std::string html = pages().render(page);
  const std::string text = visible(html);
  EXPECT_TRUE(has(text, "May Deskmate use your account?"));
  EXPECT_TRUE(has(text, "No software agent is named in this request."));
  EXPECT_TRUE(has(text, "recorded with the app’s name, Deskmate"));
  EXPECT_TRUE(has(text, "deskmate.example"));
  EXPECT_FALSE(has(text, "act in your name?"));
  EXPECT_FALSE(has(text, "Software, not a person"));
  EXPECT_FALSE(has(html, "class=\"agent-mark"));
}

TEST(ConsentPage, an_agent_that_is_its_own_client_is_one_party) {
  ConsentPage page = consent();
  page.client_is_the_agent = true;
  const std::string html = pages().render(page);
  const std::string text = visible(html);
  EXPECT_TRUE(has(text, "The agent asks for itself. No other app stands in between."));
  EXPECT_TRUE(has(text, "deskmate.example"));
  EXPECT_TRUE(has(text, "cli_desk"));
  EXPECT_FALSE(has(text, "Through the app"));
  EXPECT_FALSE(has(text, "that brought you here"));
}

TEST(ConsentPage, unstated_publisher_owner_and_names_are_not_blank) {
  ConsentPage page = consent();
  page.agent->publisher = page.agent->owner = "";
  page.person.display_name = "";
  page.client.name = "";
  page.resources = {{"", "https://files.example"}};
  page.permissions = {{"files.read", "", "", true, false}};
  const std::string html = pages().render(page);
  const std::string text = visible(html);
  EXPECT_TRUE(has(text, "Published by not stated"));
  EXPECT_TRUE(has(text, "If you did not just start this in cli_desk, deny."));
  EXPECT_TRUE(has(html, "<bdi>https://files.example</bdi>"));
  EXPECT_TRUE(has(html, "<bdi>files.read</bdi></label>"));
}

TEST(ConsentPage, a_request_without_permissions_says_so) {
  ConsentPage page = consent();
  page.permissions.clear();
  const std::string text = visible(pages().render(page));
  EXPECT_TRUE(has(text, "It asks for no named permission."));
  EXPECT_FALSE(has(text, "Untick"));
}

TEST(AgentsPage, shows_each_permission_with_its_facts_and_its_button) {
  AgentsPage page = agents();
  page.agents[0].delegations[0].last_used_at = UnixTime::from_seconds(1764090000);
  page.agents[0].delegations[0].onward = {1, {"Paper Finder"}};
  const std::string html = pages().render(page);
  const std::string text = visible(html);
  for (const char* fact :
       {"Research Scout", "Published by Northwind Labs", "agt_5f1c", "through Deskmate", "cli_desk",
        "Calendar, Mail", "Read your calendar", "Change events", "24 Nov 2025, 16:00 UTC",
        "25 Nov 2025, 17:00 UTC", "24 Dec 2025, 16:00 UTC", "never", "Active",
        "May hand parts of this to Paper Finder", "May not pass this on."}) {
    EXPECT_TRUE(has(text, fact)) << fact;
  }
  EXPECT_TRUE(has(html, "<time datetime=\"2025-11-24T16:00:00Z\">"));
  EXPECT_EQ(count(html, "action=\"/agents/revoke\""), 2U);
  EXPECT_TRUE(has(html, "name=\"delegation\" value=\"dlg_1\""));
  EXPECT_TRUE(has(html, "name=\"delegation\" value=\"dlg_2\""));
  EXPECT_EQ(count(html, "action=\"/agents/revoke-agent\""), 1U);
  EXPECT_TRUE(has(html, "name=\"agent\" value=\"agt_5f1c\""));
  EXPECT_TRUE(has(html, "action=\"/logout\""));
  EXPECT_TRUE(has(text, "Sign out"));
}

TEST(AgentsPage, an_ended_permission_names_its_cause_and_cannot_be_revoked) {
  AgentsPage page = agents();
  for (DelegationEntry& entry : page.agents[0].delegations) entry.ended_because = "you revoked it";
  const std::string html = pages().render(page);
  const std::string text = visible(html);
  EXPECT_EQ(count(text, "Ended because: you revoked it"), 2U);
  EXPECT_TRUE(has(text, "Ended permissions (2)"));
  EXPECT_TRUE(has(text, "It holds no permission now."));
  EXPECT_FALSE(has(text, "Active"));
  EXPECT_FALSE(has(html, "/agents/revoke"));
}

TEST(AgentsPage, the_terms_that_were_agreed_to_are_there) {
  AgentsPage page = agents();
  DelegationEntry& entry = page.agents[0].delegations[0];
  entry.works_while_away = true;
  entry.purpose = "Prepare the review";
  entry.onward = {1, {"Paper Finder"}};
  page.agents[0].delegations.resize(1);
  std::string text = visible(pages().render(page));
  for (const char* term :
       {"https://calendar.example/api", "https://mail.example/api", "Yes. It may act when you are not there.",
        "Prepare the review", "May hand parts of this to Paper Finder"}) {
    EXPECT_TRUE(has(text, term)) << term;
  }
  // What is over is told as it was.
  entry.ended_because = "You took it back";
  text = visible(pages().render(page));
  EXPECT_TRUE(has(text, "It was allowed to act when you were not there."));
  EXPECT_TRUE(has(text, "Prepare the review"));
  for (const char* present : {"May hand", "May not pass", "It may act"}) EXPECT_FALSE(has(text, present));
  entry.works_while_away = false;
  entry.purpose = "";
  entry.ended_because = "";
  text = visible(pages().render(page));
  EXPECT_TRUE(has(text, "No. Only while you use it, and a short time after."));
  EXPECT_FALSE(has(text, "Stated purpose"));
}

TEST(AgentsPage, says_where_ended_ones_are_left_out) {
  AgentsPage page = agents();
  page.agents[0].delegations[0].ended_because = "You took it back";
  EXPECT_FALSE(has(visible(pages().render(page)), "left out"));
  page.ended_shown = 1;
  const std::string text = visible(pages().render(page));
  EXPECT_TRUE(has(text, "Ended permissions (1 shown)"));
  EXPECT_TRUE(has(text, "only the 1 given last are shown; older ones are left out"));
}

TEST(AgentsPage, times_that_are_not_known_have_words) {
  AgentsPage page = agents();
  page.agents[0].delegations.resize(1);
  page.agents[0].delegations[0].given_at.reset();
  page.agents[0].delegations[0].ends_at.reset();
  const std::string text = visible(pages().render(page));
  EXPECT_TRUE(has(text, "Givennot known"));
  EXPECT_TRUE(has(text, "Last usednever"));
  EXPECT_TRUE(has(text, "Endswhen you revoke it"));
}

TEST(AgentsPage, apps_without_an_agent_have_no_button_for_an_agent) {
  AgentsPage page = agents();
  page.agents[0].agent.reset();
  const std::string html = pages().render(page);
  EXPECT_TRUE(has(visible(html), "Apps that act directly"));
  EXPECT_FALSE(has(html, "/agents/revoke-agent"));
  EXPECT_FALSE(has(visible(html), "Software agent"));
}

TEST(AgentsPage, an_empty_list_and_what_was_taken_back_are_said) {
  AgentsPage page = agents();
  page.agents.clear();
  page.taken_back = TakenBack{"Research Scout", {"Calendar", "Mail"}, 0, {}};
  const std::string html = pages().render(page);
  EXPECT_TRUE(has(visible(html), "Nothing acts in your name"));
  EXPECT_TRUE(has(html, "role=\"status\""));
  EXPECT_TRUE(
      has(visible(html),
          "Research Scout lost its permission at Calendar, Mail, and so did everyone it had passed it "
          "on to. It holds no other permission from you."));
  page.taken_back = TakenBack{"Research Scout", {"Calendar"}, 2, {"Mail"}};
  const std::string text = visible(pages().render(page));
  EXPECT_TRUE(has(text, "It still holds 2 other permissions at Mail, shown below."));
  EXPECT_FALSE(has(text, "no other permission"));
  EXPECT_FALSE(has(visible(pages().render(agents())), "Nothing acts in your name"));
}

TEST(ErrorPage, shows_what_it_was_given) {
  const std::string text =
      visible(pages().render(ErrorPage{"Cannot answer", "The app is unknown.", "Start again.", "req_42"}));
  for (const char* part :
       {"Cannot answer", "The app is unknown.", "Start again.", "Reference for support: req_42"}) {
    EXPECT_TRUE(has(text, part)) << part;
  }
  EXPECT_FALSE(has(visible(pages().render(ErrorPage{"Cannot answer", "m", "", ""})), "Reference"));
}

TEST(ErrorPage, has_the_protocols_words_apart_and_a_way_on) {
  ErrorPage page{"Cannot answer", "The app is unknown.", "", ""};
  EXPECT_FALSE(has(visible(pages().render(page)), "For developers"));
  page.detail = "redirect_uri is not registered";
  page.link = Link{"My agents", "/agents"};
  const std::string html = pages().render(page);
  EXPECT_TRUE(has(visible(html), "For developers: redirect_uri is not registered"));
  EXPECT_TRUE(has(html, "<a class=\"button\" href=\"/agents\">My agents</a>"));
}

TEST(NoticePage, has_a_link_only_where_one_is_given) {
  EXPECT_TRUE(has(pages().render(NoticePage{"Signed out", "Bye.", Link{"Sign in", "/login"}}),
                  "<a class=\"button\" href=\"/login\">Sign in</a>"));
  EXPECT_FALSE(has(pages().render(NoticePage{"Signed out", "Bye.", {}}), "class=\"button\""));
}

TEST(HomePage, leads_to_my_agents_and_to_the_metadata) {
  const std::string html =
      pages().render(HomePage{"https://id.example", "/agents", {{"Metadata", "/.well-known/x"}}});
  EXPECT_TRUE(has(html, "href=\"/agents\""));
  EXPECT_TRUE(has(html, "<a href=\"/.well-known/x\">Metadata</a>"));
  EXPECT_TRUE(has(visible(html), "https://id.example"));
}

TEST(FormPostPage, hands_over_the_exact_members_by_a_button) {
  FormPostPage page{"https://app.example/cb?x=1&y=2", "Deskmate", "app.example", {}};
  page.fields = {{"code", "abc"}, {"state", "a\"b\n<c>\xE2\x80\xAE&d"}};
  const std::string html = pages().render(page);
  EXPECT_TRUE(has(html, "method=\"post\" action=\"https://app.example/cb?x=1&amp;y=2\""));
  EXPECT_TRUE(has(html, "name=\"code\" value=\"abc\""));
  EXPECT_TRUE(has(html, "name=\"state\" value=\"a&quot;b\n&lt;c&gt;\xE2\x80\xAE&amp;d\""));
  EXPECT_TRUE(has(html, ">Continue</button>"));
  EXPECT_FALSE(has(html, "name=\"csrf\""));
}

TEST(Templates, form_members_are_named_as_the_header_says) {
  const std::string html = pages().render(login()) + pages().render(consent()) + pages().render(agents());
  for (const std::string_view name : {field::kCsrf, field::kRequest, field::kUsername, field::kPassword,
                                      field::kScope, field::kDecision, field::kDelegation, field::kAgent}) {
    EXPECT_TRUE(has(html, "name=\"" + std::string(name) + "\"")) << name;
  }
  for (const std::string_view value : {field::kAllow, field::kDeny}) {
    EXPECT_TRUE(has(html, "value=\"" + std::string(value) + "\"")) << value;
  }
}

TEST(Templates, a_missing_or_broken_template_stops_the_start) {
  const std::span<const EmbeddedFile> all = embedded_web();
  EXPECT_THROW(Templates({}, {"s", "i"}), std::logic_error);
  std::vector<EmbeddedFile> files(all.begin(), all.end());
  std::erase_if(files, [](const EmbeddedFile& embedded) { return embedded.name == "onward.html"; });
  EXPECT_THROW(Templates(files, {"s", "i"}), std::logic_error);
  files.push_back({"onward.html", "{{#OPEN}} never closed"});
  EXPECT_THROW(Templates(files, {"s", "i"}), std::logic_error);
}

TEST(Templates, every_template_escapes_by_itself) {
  for (const EmbeddedFile& embedded : embedded_web()) {
    if (!embedded.name.ends_with(".html")) continue;
    EXPECT_TRUE(embedded.text.starts_with("{{%AUTOESCAPE context=\"HTML\"}}\n")) << embedded.name;
    EXPECT_EQ(embedded.text.find(":none"), std::string_view::npos) << embedded.name;
  }
}

TEST(Templates, threads_render_the_same_page_at_once) {
  const std::string expected = pages().render(consent());
  std::array<bool, 4> same{};
  {
    std::vector<std::jthread> threads;
    for (bool& is_same : same) {
      threads.emplace_back([&is_same, &expected] {
        is_same = true;
        for (int round = 0; round < 50; ++round) is_same = is_same && pages().render(consent()) == expected;
      });
    }
  }
  EXPECT_EQ(std::count(same.begin(), same.end(), true), 4);
}

// WCAG 2.2 §1.4.3 and §1.4.11: relative luminance and contrast of two "#rrggbb" colours.
double contrast(const std::string& first, const std::string& second) {
  const auto luminance = [](const std::string& colour) {
    constexpr std::array<double, 3> kWeights = {0.2126, 0.7152, 0.0722};
    double sum = 0;
    for (size_t index = 0; index < 3; ++index) {
      const double part = std::stoi(colour.substr(1 + 2 * index, 2), nullptr, 16) / 255.0;
      sum += kWeights.at(index) * (part <= 0.04045 ? part / 12.92 : std::pow((part + 0.055) / 1.055, 2.4));
    }
    return sum;
  };
  const auto [darker, lighter] = std::minmax({luminance(first), luminance(second)});
  return (lighter + 0.05) / (darker + 0.05);
}

TEST(Style, colours_reach_the_contrast_of_level_aa_in_both_schemes) {
  const std::string css(file("style.css"));
  size_t at = 0;
  for (const char* scheme : {"light", "dark"}) {
    const size_t begin = css.find(":root {", at);
    ASSERT_NE(begin, std::string::npos);
    at = css.find('}', begin);
    const std::string block = css.substr(begin, at - begin);
    const auto colour = [&](const std::string& name) {
      std::smatch found;
      const bool is_there = std::regex_search(block, found, std::regex("--" + name + ": (#[0-9a-f]{6});"));
      return is_there ? found[1].str() : std::string("#808080");
    };
    const std::vector<std::pair<std::string, std::vector<std::string>>> text = {
        {"ink", {"paper", "card", "accent-tint", "warning-tint"}},
        {"muted", {"paper", "card", "accent-tint"}},
        {"accent", {"paper", "card", "accent-tint"}},
        {"danger", {"paper", "card", "accent-tint", "danger-tint"}},
        {"warning", {"warning-tint"}},
        {"on-accent", {"accent"}},
        {"on-button", {"button", "button-hover"}}};
    for (const auto& [front, backs] : text) {
      for (const std::string& back : backs) {
        EXPECT_GE(contrast(colour(front), colour(back)), 4.5) << scheme << ": " << front << " on " << back;
      }
    }
    for (const char* back : {"paper", "card", "accent-tint"}) {
      EXPECT_GE(contrast(colour("control"), colour(back)), 3.0) << scheme << ": control on " << back;
    }
  }
}

TEST(Style, cuts_off_nothing_that_a_person_agrees_to) {
  const std::string css(file("style.css"));
  for (const char* way : {"line-clamp", "text-overflow", "overflow: hidden", "nowrap", "max-height"})
    EXPECT_FALSE(has(css, way)) << way;
  EXPECT_TRUE(has(css, "overflow-wrap: anywhere"));
}

TEST(Style, covers_dark_mode_reduced_motion_and_visible_focus) {
  const std::string css(file("style.css"));
  EXPECT_TRUE(has(css, "@media (prefers-color-scheme: dark)"));
  EXPECT_TRUE(has(css, "@media (prefers-reduced-motion: reduce)"));
  EXPECT_TRUE(has(css, ":focus-visible"));
  EXPECT_FALSE(has(css, "outline: none"));
  EXPECT_FALSE(has(css, "outline: 0"));
}

}  // namespace
}  // namespace behalf::console
