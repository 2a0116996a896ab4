#include "app/demo/page.h"

#include "app/demo/api.h"
#include "app/demo/browser.h"
#include "app/demo/wire.h"
#include "base/bytes.h"
#include "crypto/hash.h"

namespace behalf::app {
namespace {

constexpr size_t kMostFlows = 200;
// So often a flow begins again because the API refuses what came of it: an API that refuses everything, or
// somebody who answers in its place, must not keep the browser going round (draft-…-on-behalf-of-user, duties
// of the client).
constexpr int kMostRestarts = 2;
constexpr const char* kCookie = "planner_state";

http::Response page(int status, const std::string& title, const std::string& body) {
  http::Response response;
  response.status = status;
  response.headers.set("Content-Type", "text/html; charset=utf-8");
  response.headers.set("Cache-Control", "no-store");
  response.headers.set(
      "Content-Security-Policy",
      "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'");
  response.headers.set("Referrer-Policy", "no-referrer");
  response.headers.set("X-Content-Type-Options", "nosniff");
  response.body =
      "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width, initial-scale=1\">"
      "<title>" +
      escape_html(title) +
      "</title><style>:root{color-scheme:light dark}"
      "body{font:17px/1.55 system-ui,sans-serif;max-width:44rem;margin:3rem auto;padding:0 1.25rem}"
      "h1{line-height:1.2}pre{padding:1rem;overflow:auto;border:1px solid "
      "#8886;border-radius:.6rem;font-size:.86rem;line-height:1.45}"
      ".button{display:inline-block;padding:.8rem "
      "1.3rem;border-radius:.6rem;background:#2b4c9b;color:#fff;text-decoration:none;font-weight:600}"
      ".muted{opacity:.75}li{margin:.4rem 0}</style></head><body><main><h1>" +
      escape_html(title) + "</h1>" + body + "</main></body></html>";
  return response;
}

std::string block(const std::string& title, const json::Value& value) {
  return "<h2>" + escape_html(title) + "</h2><pre>" + escape_html(json::write_pretty(value)) + "</pre>";
}

constexpr const char* kBack = "<p><a href=\"/\">Back to Planner</a></p>";

std::string name_of_agent(const std::string& agent) {
  return agent == kSearchAgent ? "Search Agent" : "Calendar Agent";
}

}  // namespace

DemoPage::DemoPage(const World& world, uint16_t preferred_port) : world_(world) {
  server_ = listen_near(preferred_port, [this](http::Request& request) -> Task<http::Response> {
    return [](DemoPage* self, http::Request* asked) -> Task<http::Response> {
      co_return self->answer(*asked);
    }(this, &request);
  });
}

http::Response DemoPage::answer(const http::Request& request) {
  const auto query = http::Form::parse(request.query);
  if (request.method != "GET" || !query) return page(400, "This does not work", kBack);
  if (request.path == "/") return home();
  if (request.path == "/start") return start(*query);
  if (request.path == "/callback") return finish(request, *query);
  return page(404, "There is nothing here", kBack);
}

http::Response DemoPage::home() const {
  const std::string agents = escape_html(world_.issuer() + "/agents");
  return page(200, "Planner",
              "<p>A small app. It does not act itself: it lets a software agent act in your name, if you "
              "allow that agent.</p>"
              "<p><a class=\"button\" href=\"/start?agent=agent-calendar\">Let the Calendar Agent plan my "
              "week</a></p>"
              "<p class=\"muted\">You sign in at the authorization server as <strong>alice</strong>; the "
              "password is in the terminal.</p>"
              "<h2>And then</h2><ul>"
              "<li><a href=\"/start?agent=agent-search\">Ask for the Search Agent instead</a>: another "
              "agent, so another question to you.</li>"
              "<li><a href=\"/start?agent=agent-calendar&amp;proof=agent-search\">The attack</a>: you allow "
              "the Calendar Agent, and the Search Agent tries to redeem the code.</li>"
              "<li><a href=\"" +
                  agents + "\">My agents</a>: see what acts in your name, and revoke it.</li></ul>");
}

http::Response DemoPage::start(const http::Form& query) {
  Flow flow;
  flow.agent = query.get("agent") == kSearchAgent ? kSearchAgent : kCalendarAgent;
  flow.proof = query.get("proof") == kSearchAgent ? kSearchAgent : flow.agent;
  flow.scope = flow.agent == kSearchAgent ? "calendar.read" : "calendar.read calendar.write";
  return ask(std::move(flow));
}

http::Response DemoPage::ask(Flow flow) {
  flow.verifier = random_text(32);
  const std::string state = random_text(16);
  const std::string url = world_.issuer() + "/authorize?" +
                          http::write_form({{"response_type", "code"},
                                            {"client_id", kPlanner},
                                            {"redirect_uri", world_.page + "/callback"},
                                            {"scope", flow.scope},
                                            {"resource", world_.planner_resource()},
                                            {"requested_actor", flow.agent},
                                            {"state", state},
                                            {"code_challenge", base64url(crypto::sha256(flow.verifier))},
                                            {"code_challenge_method", "S256"}});
  {
    const std::lock_guard lock(mutex_);
    if (flows_.size() >= kMostFlows) flows_.clear();
    flows_.emplace(state, std::move(flow));
  }
  http::Response response = http::redirect(url);
  response.headers.add("Set-Cookie",
                       std::string(kCookie) + "=" + state + "; Path=/callback; HttpOnly; SameSite=Lax");
  return response;
}

http::Response DemoPage::finish(const http::Request& request, const http::Form& query) {
  const std::string state(query.get("state"));
  Flow flow;
  {
    const std::lock_guard lock(mutex_);
    const auto found = flows_.find(state);
    // RFC 9207: an answer by another server than the one that was asked is none.
    if (found == flows_.end() || request.cookie(kCookie) != state || query.get("iss") != world_.issuer()) {
      return page(400, "This answer does not belong to a question of ours", kBack);
    }
    flow = std::move(found->second);
    flows_.erase(found);
  }
  if (query.has("error")) {
    return page(200, "You said no",
                "<p>The server answered <code>" + escape_html(query.get("error")) + "</code>. " +
                    name_of_agent(flow.agent) + " may do nothing.</p>" + kBack);
  }
  const std::string code(query.get("code"));
  http::ClientRequest redeem;
  redeem.method = "POST";
  redeem.headers.set("Content-Type", "application/x-www-form-urlencoded");
  redeem.headers.set("Authorization", world_.basic(kPlanner));
  redeem.body = http::write_form({{"grant_type", "authorization_code"},
                                  {"code", code},
                                  {"redirect_uri", world_.page + "/callback"},
                                  {"code_verifier", flow.verifier},
                                  {"actor_token", world_.proof(flow.proof, code)},
                                  {"actor_token_type", kJwtUrn}});
  const http::Response answered = http::fetch(world_.issuer() + "/token", redeem);
  const auto body = json::parse(answered.body);
  const std::string token = body ? text_of(*body, "access_token") : "";
  if (token.empty()) {
    const std::string who = name_of_agent(flow.proof);
    return page(
        200, flow.proof == flow.agent ? "The code was refused" : "The attack failed",
        "<p>" + who + " proved itself with its own key and presented the code that is for the " +
            name_of_agent(flow.agent) + ". The code is spent now, for everybody.</p>" +
            block("The server answered " + std::to_string(answered.status), body.value_or(json::Value{})) +
            kBack);
  }
  return call_api(std::move(flow), token);
}

bool DemoPage::is_worth_asking_again(const http::Response& refusal) const {
  const std::string* challenge = refusal.headers.find("WWW-Authenticate");
  if ((refusal.status != 401 && refusal.status != 403) || challenge == nullptr) return false;
  // RFC 9728 §3.3: of another resource it says nothing about this one.
  if (challenge_parameter(*challenge, "resource_metadata") !=
      world_.planner() + "/.well-known/oauth-protected-resource/planner") {
    return false;
  }
  const std::string error = challenge_parameter(*challenge, "error");
  return error == "invalid_token" || error == "insufficient_scope";
}

http::Response DemoPage::call_api(Flow flow, const std::string& token) {
  http::ClientRequest call;
  call.headers.set("Authorization", "Bearer " + token);
  const http::Response answered = http::fetch(world_.planner_resource() + "/week", call);
  const auto body = json::parse(answered.body);
  if (is_worth_asking_again(answered) && flow.restarts < kMostRestarts) {
    ++flow.restarts;
    const std::string more = challenge_parameter(*answered.headers.find("WWW-Authenticate"), "scope");
    if (!more.empty()) flow.scope += " " + more;
    return ask(std::move(flow));
  }
  if (answered.status != 200) {
    return page(
        200, "The API refused",
        (flow.restarts == 0 ? std::string{}
                            : "<p>Planner asked for another token " + std::to_string(flow.restarts) +
                                  " times, and does not ask again by itself.</p>") +
            block("The API answered " + std::to_string(answered.status), body.value_or(json::Value{})) +
            kBack);
  }
  return page(200, name_of_agent(flow.agent) + " looked at your week",
              block("The API answered " + std::to_string(answered.status), body.value_or(json::Value{})) +
                  block("The token says", decoded(token)) +
                  "<p><code>sub</code> is you, <code>client_id</code> this app, <code>act</code> the agent. "
                  "<a href=\"" +
                  escape_html(world_.issuer() + "/agents") + "\">My agents</a> shows it, and ends it.</p>" +
                  kBack);
}

}  // namespace behalf::app
