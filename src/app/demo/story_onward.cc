// The middle of the story: handing on, in two dialects, the attacks on it, and the end of all of it.
#include <chrono>
#include <thread>

#include "app/demo/story.h"
#include "base/environment.h"
#include "model/scope.h"

namespace behalf::app {

Parameters Story::exchange_request(const std::string& subject, const std::string& proof,
                                   const std::string& scope) const {
  Parameters parameters = {
      {"grant_type", kTokenExchange}, {"subject_token", subject}, {"subject_token_type", kAccessTokenUrn}};
  if (!proof.empty()) {
    parameters.emplace_back("actor_token", proof);
    parameters.emplace_back("actor_token_type", kJwtUrn);
  }
  parameters.emplace_back("resource", world_.planner_resource());
  parameters.emplace_back("scope", scope);
  return parameters;
}

void Story::exchange() {
  spent_proof_ = world_.proof(kSearchAgent);
  const Reply reply = wire_.post("Planner", "/token", kPlanner,
                                 exchange_request(access_token_, spent_proof_, "calendar.read"));
  search_token_ = take_token(reply, "the exchange was refused");
  const json::Value claims = decoded(search_token_);
  const json::Value before = decoded(access_token_);
  screen_.check(
      text_of(claims, "sub") == "user-alice" && chain_of(claims) == "agent-search ← agent-calendar",
      "still for Alice; the Search Agent acts, the Calendar Agent is nested beneath it (RFC 8693 §4.1)");
  const auto had = ScopeSet::parse(text_of(before, "scope"));
  const auto has = ScopeSet::parse(text_of(claims, "scope"));
  screen_.check(had && has && has->is_at_most(*had) && has->size() < had->size() &&
                    claims.find_integer("exp").value_or(0) <= before.find_integer("exp").value_or(0),
                "narrower scope than the token it came from, and no longer life");
  const Reply read = wire_.call("Search Agent", "GET", world_.planner_resource() + "/week", search_token_);
  const json::Value* saw = read.body.find("saw");
  screen_.check(read.status == 200 && saw != nullptr && list_of(*saw, "chain").size() == 2,
                "the API sees both agents, and in which order");
  const Reply write =
      wire_.call("Search Agent", "POST", world_.planner_resource() + "/meetings", search_token_);
  is_refused(write, 403, "insufficient_scope", "it may look, not book");
  const std::string* header = write.headers.find("WWW-Authenticate");
  screen_.check(header != nullptr && challenge_parameter(*header, "scope") == "calendar.write" &&
                    challenge_parameter(*header, "required_scope") == "calendar.write" &&
                    text_of(write.body, "required_scope") == "calendar.write",
                "the challenge says which permission is missing, in header and body");
}

void Story::attack_exchange() {
  screen_.say("The Search Agent asks for more than the token it was handed.");
  is_refused(
      wire_.post("Planner", "/token", kPlanner,
                 exchange_request(search_token_, world_.proof(kSearchAgent), "calendar.read calendar.write")),
      400, "invalid_scope", "no widening on the way down");

  screen_.say("The Planner API leaves the actor out, to get a token that shows only Alice.");
  Parameters without_actor = {{"grant_type", kTokenExchange},
                              {"subject_token", access_token_},
                              {"subject_token_type", kAccessTokenUrn},
                              {"resource", world_.mail_resource()},
                              {"scope", "mail.read"}};
  is_refused(wire_.post("Planner API", "/token", kPlannerApi, without_actor), 400, "invalid_request",
             "that would be impersonation");

  screen_.say(
      "Even the holder cannot shake the agent off: without actor_token its own token stays the Calendar "
      "Agent's.");
  const Reply narrowed =
      wire_.post("Planner", "/token", kPlanner, exchange_request(access_token_, "", "calendar.read"));
  const std::string token = text_of(narrowed.body, "access_token");
  screen_.check(narrowed.status == 200 && chain_of(decoded(token)) == kCalendarAgent,
                "act is still " + chain_of(decoded(token)));

  screen_.say("Someone copied the proof that was used a moment ago, and presents it again.");
  is_refused(wire_.post("Planner", "/token", kPlanner,
                        exchange_request(access_token_, spent_proof_, "calendar.read")),
             400, "invalid_request", "a self-signed assertion works once");
}

void Story::hold_to_policy() {
  const std::string notes = world_.planner_resource() + "/notes";
  screen_.say(
      "The Planner API has no code for any of this. The guard before it has a policy: Alice's notes are for "
      "the Calendar Agent alone.");
  screen_.check(wire_.call("Calendar Agent", "GET", notes, access_token_).status == 200,
                "the Calendar Agent reads them");
  const Reply other = wire_.call("Search Agent", "GET", notes, search_token_);
  is_refused(other, 403, "actor_unauthorized",
             "the Search Agent does not, for the same person and with the scope it takes");
  const std::string* header = other.headers.find("WWW-Authenticate");
  screen_.check(header != nullptr && challenge_parameter(*header, "scope").empty(),
                "nor is it sent away for more scope, which would not help it");
}

void Story::on_behalf_of() {
  screen_.say(
      "The Planner API was called with a token for itself. It needs Alice's mail, and speaks the "
      "On-Behalf-Of dialect.");
  const Reply reply = wire_.post("Planner API", "/token", kPlannerApi,
                                 {{"grant_type", kJwtBearer},
                                  {"assertion", access_token_},
                                  {"requested_token_use", "on_behalf_of"},
                                  {"scope", world_.mail_resource() + "/.default"}});
  mail_token_ = take_token(reply, "On-Behalf-Of was refused");
  const json::Value claims = decoded(mail_token_);
  screen_.check(
      chain_of(claims) == "planner-api ← agent-calendar" && text_of(claims, "aud") == world_.mail_resource(),
      "the middle tier is in the chain, the agent beneath it, and the audience is the Mail API alone");
  screen_.check(text_of(claims, "grant_id") == grant_,
                "the same grant_id: one decision of Alice's is behind all of it");
  const Reply mail = wire_.call("Planner API", "GET", world_.mail_resource() + "/inbox", mail_token_);
  screen_.check(mail.status == 200, "the Mail API answers");
  is_refused(wire_.call("Planner", "GET", world_.mail_resource() + "/inbox", access_token_), 401,
             "invalid_token", "the token for the Planner API opens no mail: one audience each");
}

bool Story::is_active(const std::string& who, const std::string& token, std::string_view name) {
  const Reply reply = wire_.post(who, "/introspect", who, {{"token", token}});
  const json::Value* active = reply.body.find("active");
  if (reply.status != 200 || active == nullptr || active->boolean() == nullptr)
    throw StoryEnds("introspection did not answer");
  screen_.aside("  " + std::string(name) + " is " + (*active->boolean() ? "active" : "not active"));
  return *active->boolean();
}

void Story::revoke() {
  const std::tuple<std::string, std::string, std::string_view> tokens[] = {
      {kPlannerApi, access_token_, "the Calendar Agent's token"},
      {kPlannerApi, search_token_, "the Search Agent's token"},
      {kMailApi, mail_token_, "the middle tier's token"}};
  size_t active = 0;
  for (const auto& [who, token, name] : tokens)
    if (is_active(who, token, name)) ++active;
  screen_.check(active == std::size(tokens), "introspection, by the API each is for: all three are active");

  const Browser::Page mine = browser_.get(world_.issuer() + "/agents");
  screen_.sent("Alice's browser", "GET", world_.issuer() + "/agents", {});
  screen_.came_back(mine.status, "");
  for (const std::string& fact : readable_lines(mine.html, "<section class=\"group", "</section>"))
    screen_.say("   │ " + screen_.dim(printable(fact)));
  const auto form = find_form(mine.html, "/agents/revoke", "delegation", grant_);
  if (!form) throw StoryEnds("the page has no form that revokes this permission");
  screen_.sent("Alice", "POST", world_.issuer() + "/agents/revoke", form->fields);
  const Browser::Page after = browser_.submit(*form);
  const int64_t waited = wait_until_refused(world_.planner_resource() + "/week", search_token_);
  const int64_t waited_for_mail = wait_until_refused(world_.mail_resource() + "/inbox", mail_token_);
  screen_.came_back(after.status, "");
  screen_.check(after.status == 200 && !find_form(after.html, "/agents/revoke", "delegation", grant_),
                "Alice revoked it: it is no longer among what is active");
  is_refused(wire_.call("Search Agent", "GET", world_.planner_resource() + "/week", search_token_), 401,
             "invalid_token", "the next call is refused, by a guard that verifies offline and asks nobody");
  screen_.check(waited >= 0 && waited <= 1000 && waited_for_mail >= 0 && waited_for_mail <= 1000,
                "it had heard " + std::to_string(waited) +
                    " ms after Alice's click, and the one before the "
                    "Mail API too: both follow the revocation feed");

  active = 0;
  for (const auto& [who, token, name] : tokens)
    if (is_active(who, token, name)) ++active;
  screen_.check(active == 0, "introspection: none of the three is active, whichever dialect it came from");
  is_refused(wire_.post("Planner", "/token", kPlanner,
                        {{"grant_type", "refresh_token"},
                         {"refresh_token", refresh_token_},
                         {"actor_token", world_.proof(kCalendarAgent)}}),
             400, "invalid_grant", "no refresh");
  is_refused(wire_.post("Planner", "/token", kPlanner,
                        exchange_request(access_token_, world_.proof(kSearchAgent), "calendar.read")),
             400, "invalid_request", "no exchange");
  is_refused(wire_.post("Planner API", "/token", kPlannerApi,
                        {{"grant_type", kJwtBearer},
                         {"assertion", access_token_},
                         {"requested_token_use", "on_behalf_of"},
                         {"scope", world_.mail_resource() + "/.default"}}),
             400, "invalid_grant", "no On-Behalf-Of");
  const int64_t left = decoded(search_token_).find_integer("exp").value_or(0) - SystemClock().now().seconds();
  screen_.say("An API that looked at nothing but the signature would have served this JWT for another " +
              std::to_string(left) + " s.");
}

int64_t Story::wait_until_refused(const std::string& url, const std::string& token) {
  constexpr int64_t kPatience = 3'000'000;
  http::ClientRequest request;
  request.headers.set("Authorization", "Bearer " + token);
  const SystemClock clock;
  const int64_t began = clock.steady_microseconds();
  for (int64_t now = began; now - began < kPatience; now = clock.steady_microseconds()) {
    if (http::fetch(url, request).status == 401) return (clock.steady_microseconds() - began) / 1000;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return -1;
}

void Story::audit() { show_audit(world_, screen_, grant_); }
void Story::lineage() { show_lineage(world_, screen_, grant_); }

}  // namespace behalf::app
