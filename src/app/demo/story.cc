#include "app/demo/story.h"

#include "base/bytes.h"
#include "crypto/hash.h"
#include "http/message.h"
#include "model/scope.h"

namespace behalf::app {

void Story::play(const std::function<bool()>& is_stopped) {
  const std::pair<std::string_view, void (Story::*)()> steps[] = {
      {"An agent calls the API without a token, and is told where to ask", &Story::challenge},
      {"Alice signs in and consents to THAT agent", &Story::consent},
      {"ATTACK: another agent redeems the code, with its own valid proof", &Story::steal_code},
      {"The code is redeemed with the proof of the agent it is bound to", &Story::redeem},
      {"The API sees person, client and agent apart", &Story::call_api},
      {"Refreshing: the agent proves itself again", &Story::refresh},
      {"Token exchange: a second agent, a narrower token, the first nested beneath", &Story::exchange},
      {"ATTACKS on the exchange: wider scope, a dropped actor, a replayed proof", &Story::attack_exchange},
      {"Two agents, one allowed: a guard holds each to the API's policy", &Story::hold_to_policy},
      {"A Microsoft-style middle tier joins the same lineage", &Story::on_behalf_of},
      {"Alice opens \"my agents\" and revokes; all of it stops", &Story::revoke},
      {"The audit trail tells the whole story", &Story::audit},
      {"The lineage: who got what from whom, and what each did with it", &Story::lineage}};
  for (const auto& [title, play_step] : steps) {
    if (is_stopped()) throw StoryEnds("stopped");
    screen_.step(title);
    try {
      (this->*play_step)();
    } catch (const std::exception& fault) {
      screen_.check(false, fault.what());
      screen_.say("The story cannot go on from here.");
      return;
    }
  }
}

std::string Story::take_token(const Reply& reply, std::string_view what) {
  const std::string token = text_of(reply.body, "access_token");
  if (reply.status != 200 || token.empty()) throw StoryEnds("no token: " + std::string(what));
  screen_.claims("the token " + abbreviated(token) + " says:", decoded(token));
  return token;
}

bool Story::is_refused(const Reply& reply, int status, std::string_view error, std::string_view what) {
  return screen_.check(reply.status == status && reply.error() == error,
                       std::string(what) + ": " + std::to_string(status) + " " + std::string(error));
}

// 1: RFC 6750 §3 → RFC 9728 → RFC 8414.
void Story::challenge() {
  const Reply challenged = wire_.call("Calendar Agent", "GET", world_.planner_resource() + "/week", {});
  const std::string* header = challenged.headers.find("WWW-Authenticate");
  const std::string challenge = header == nullptr ? "" : *header;
  screen_.check(challenged.status == 401 && challenge.starts_with("Bearer ") &&
                    challenge_parameter(challenge, "error").empty(),
                "401 with a challenge and no error: nothing was sent, so nothing is wrong");
  const std::string metadata_url = challenge_parameter(challenge, "resource_metadata");
  if (metadata_url.empty()) throw StoryEnds("the challenge names no resource_metadata");
  const Reply resource = wire_.get("Planner       ", metadata_url);
  screen_.check(text_of(resource.body, "resource") == world_.planner_resource(),
                "the metadata is of the resource that was asked (RFC 9728 §3.3)");
  const auto& servers = list_of(resource.body, "authorization_servers");
  const std::string issuer =
      servers.empty() || servers.front().string() == nullptr ? "" : *servers.front().string();
  screen_.aside("  authorization server: " + issuer);
  const Reply server = wire_.get("Planner       ", issuer + "/.well-known/oauth-authorization-server");
  screen_.check(text_of(server.body, "issuer") == issuer && issuer == world_.issuer(),
                "the server says that it is that issuer (RFC 8414 §3.3)");
  const json::Value* actor = server.body.find("requested_actor_parameter_supported");
  screen_.check(actor != nullptr && actor->boolean() != nullptr && *actor->boolean(),
                "it takes requested_actor: a request can name the agent");
  authorization_endpoint_ = text_of(server.body, "authorization_endpoint");
  const Reply as_known = wire_.get(
      "Planner       ", authorization_endpoint_.empty() ? issuer : text_of(server.body, "jwks_uri"));
  screen_.check(!list_of(as_known.body, "keys").empty(),
                "and publishes the keys that tokens are verified with");
}

std::string Story::code_from(const std::string& location, const std::string& state) {
  const size_t question = location.find('?');
  const auto query =
      http::Form::parse(question == std::string::npos ? "" : std::string_view(location).substr(question + 1));
  const bool is_ours = query && query->get("state") == state && query->get("iss") == world_.issuer();
  screen_.say("Alice's browser → " + location.substr(0, question) + "  (code, state, iss)");
  if (query && query->has("error"))
    throw StoryEnds("the server answered " + std::string(query->get("error")));
  screen_.check(is_ours, "state is the one sent, and iss names the server that answers (RFC 9207)");
  if (!query || query->get("code").empty()) throw StoryEnds("no code came back");
  return std::string(query->get("code"));
}

Story::Code Story::authorize(bool expect_consent) {
  Code result;
  result.verifier = random_text(32);
  const std::string state = random_text(16);
  const Parameters parameters = {{"response_type", "code"},
                                 {"client_id", kPlanner},
                                 {"redirect_uri", world_.page + "/callback"},
                                 {"scope", kScopes},
                                 {"resource", world_.planner_resource()},
                                 {"requested_actor", kCalendarAgent},
                                 {"state", state},
                                 {"code_challenge", base64url(crypto::sha256(result.verifier))},
                                 {"code_challenge_method", "S256"}};
  screen_.sent("Alice's browser", "GET", authorization_endpoint_, parameters);
  Browser::Page page = browser_.get(authorization_endpoint_ + "?" + http::write_form(parameters));
  if (expect_consent) {
    auto login = find_form(page.html, "/login");
    if (!login) throw StoryEnds("no sign-in page came");
    screen_.came_back(page.status, "the sign-in page");
    login->set("username", "alice");
    login->set("password", world_.password());
    screen_.sent("Alice", "POST", world_.issuer() + "/login", {{"username", "alice"}, {"password", "?"}});
    page = browser_.submit(*login);
    screen_.came_back(page.status, "the consent page");
    for (const std::string& fact : readable_lines(page.html, "<div class=\"question\"", "</div>"))
      screen_.say("   │ " + printable(fact));
    const auto agent = readable_lines(page.html, "<section class=\"card agent-card\"", "</section>");
    for (const std::string& fact : agent) screen_.say("   │ " + printable(fact));
    for (const std::string& fact : readable_lines(page.html, "<fieldset", "</fieldset>"))
      screen_.say("   │ " + screen_.dim(printable(fact)));
    std::string all;
    for (const std::string& fact : agent) all += fact + "\n";
    screen_.check(
        all.find("Calendar Agent") != std::string::npos && all.find(kCalendarAgent) != std::string::npos &&
            all.find("Example Agents Ltd") != std::string::npos,
        "the page names the agent, its publisher and its id, from the registry and not from the request");
    auto form = find_form(page.html, "/consent");
    if (!form) throw StoryEnds("no consent page came");
    form->set("decision", "allow");
    screen_.sent("Alice", "POST", world_.issuer() + "/consent", form->fields);
    page = browser_.submit(*form);
  }
  result.code = code_from(page.left_for, state);
  return result;
}

void Story::consent() { code_ = authorize(true); }

Reply Story::redeem_with(const Code& code, const std::string& proof) {
  return wire_.post("Planner", "/token", kPlanner,
                    {{"grant_type", "authorization_code"},
                     {"code", code.code},
                     {"redirect_uri", world_.page + "/callback"},
                     {"code_verifier", code.verifier},
                     {"actor_token", proof},
                     {"actor_token_type", kJwtUrn}});
}

void Story::steal_code() {
  const std::string wrong = world_.proof(kSearchAgent, code_.code);
  screen_.claims("the Search Agent's own proof, signed with its own key:", decoded(wrong));
  is_refused(redeem_with(code_, wrong), 400, "invalid_grant", "the code is for another agent");
  screen_.say("Nobody gets a second guess: the code is spent, for the right agent as well.");
  is_refused(redeem_with(code_, world_.proof(kCalendarAgent, code_.code)), 400, "invalid_grant",
             "the burnt code stays burnt");
}

void Story::redeem() {
  screen_.say("A fresh code: Alice's decision stands, so she is not asked twice for exactly the same.");
  code_ = authorize(false);
  const Reply reply = redeem_with(code_, world_.proof(kCalendarAgent, code_.code));
  access_token_ = take_token(reply, "the code was not accepted");
  refresh_token_ = text_of(reply.body, "refresh_token");
  const json::Value claims = decoded(access_token_);
  grant_ = text_of(claims, "grant_id");
  screen_.check(
      text_of(claims, "sub") == "user-alice" && text_of(claims, "client_id") == kPlanner &&
          chain_of(claims) == kCalendarAgent,
      "sub is Alice, client_id is Planner, act is the Calendar Agent: three parties, three members");
  screen_.check(text_of(claims, "aud") == world_.planner_resource(), "one audience: the Planner API");
  screen_.check(!refresh_token_.empty() && !grant_.empty(),
                "a refresh token came with it, and grant_id names Alice's decision");
}

void Story::call_api() {
  const Reply reply = wire_.call("Planner, for the Calendar Agent", "GET",
                                 world_.planner_resource() + "/week", access_token_);
  const json::Value* saw = reply.body.find("saw");
  if (saw != nullptr) screen_.claims("the API saw:", *saw);
  screen_.check(reply.status == 200 && saw != nullptr && text_of(*saw, "person") == "user-alice" &&
                    text_of(*saw, "client") == kPlanner && text_of(*saw, "acting_now") == kCalendarAgent,
                "the guard before it verified offline; person, client and agent are three different answers");
  const auto log = api_.log();
  if (!log.empty()) screen_.say("the API's log: " + printable(log.back()));

  screen_.say("The app's own token, for nobody: no person behind it, no agent in it.");
  const Reply own = wire_.post("Planner", "/token", kPlanner,
                               {{"grant_type", "client_credentials"},
                                {"resource", world_.planner_resource()},
                                {"scope", "calendar.read"}});
  const std::string own_token = take_token(own, "client_credentials was refused");
  const Reply refused = wire_.call("Planner", "GET", world_.planner_resource() + "/week", own_token);
  is_refused(refused, 401, "invalid_token", "without act this API opens to nobody");
}

void Story::refresh() {
  screen_.say(
      "This time the agent's runtime fetches an actor token from the server: audience is the server itself, "
      "so it opens no API.");
  const Reply fetched =
      wire_.post("Calendar Agent runtime", "/token", "",
                 {{"grant_type", "client_credentials"},
                  {"resource", world_.issuer()},
                  {"client_id", kRuntime},
                  {"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
                  {"client_assertion", world_.runtime_assertion()}});
  const std::string actor_token = take_token(fetched, "no actor token");
  is_refused(wire_.post("Planner", "/token", kPlanner,
                        {{"grant_type", "refresh_token"}, {"refresh_token", refresh_token_}}),
             400, "invalid_request", "without the agent's proof there is no refresh");
  const Reply reply = wire_.post("Planner", "/token", kPlanner,
                                 {{"grant_type", "refresh_token"},
                                  {"refresh_token", refresh_token_},
                                  {"actor_token", actor_token},
                                  {"actor_token_type", kAccessTokenUrn}});
  access_token_ = take_token(reply, "the refresh was refused");
  const std::string next = text_of(reply.body, "refresh_token");
  screen_.check(chain_of(decoded(access_token_)) == kCalendarAgent,
                "the new token still names the Calendar Agent");
  screen_.check(!next.empty() && next != refresh_token_, "the refresh token was rotated");
  refresh_token_ = next;
}

}  // namespace behalf::app
