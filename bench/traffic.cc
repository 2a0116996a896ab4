// The flow before the measurement, and the requests it feeds.
#include "traffic.h"

#include <chrono>
#include <map>
#include <stdexcept>

#include "base/bytes.h"
#include "base/environment.h"
#include "base/json.h"
#include "crypto/hash.h"
#include "crypto/jwt.h"
#include "guard.h"
#include "http/client.h"
#include "load.h"

namespace behalf::bench {
namespace {

constexpr size_t kSetupConnections = 64;
constexpr size_t kSubjects = 2000;
constexpr size_t kSeen = 500;  // tokens that the guard sees again and again
constexpr const char* kVerifier = "a-verifier-of-more-than-forty-three-characters-0123456789";
constexpr const char* kRedirect = "http://127.0.0.1:5555/callback";
constexpr const char* kResource = "https://api.example/planner";
constexpr const char* kScope = "mail.read calendar.write";
constexpr const char* kOffline = "mail.read calendar.write offline_access";
constexpr const char* kTokenType = "urn:ietf:params:oauth:token-type:access_token";
constexpr const char* kJwtType = "urn:ietf:params:oauth:token-type:jwt";

std::string member_of(std::string_view body, std::string_view name) {
  const auto value = json::parse(body);
  const std::string* text = value ? value->find_string(name) : nullptr;
  if (text == nullptr)
    throw std::runtime_error("no " + std::string(name) + " in: " + std::string(body.substr(0, 300)));
  return *text;
}

// The value of the hidden field `name` behind `from` in a page.
std::string hidden(std::string_view page, std::string_view name, std::string_view from = "<main") {
  const std::string field = "name=\"" + std::string(name) + "\" value=\"";
  const size_t start = page.find(from);
  const size_t at = start == std::string_view::npos ? start : page.find(field, start);
  if (at == std::string_view::npos)
    throw std::runtime_error("no field " + std::string(name) + " on the page");
  const size_t begin = at + field.size();
  return std::string(page.substr(begin, page.find('"', begin) - begin));
}

class Browser {
 public:
  explicit Browser(uint16_t port)
      : client_({.host = "127.0.0.1", .port = port, .unix_path = {}, .tls = false, .ca_file = {}}) {}

  http::Response go(const std::string& method, const std::string& path, const std::string& body = {}) {
    http::ClientRequest request{.method = method, .path_and_query = path, .headers = {}, .body = body};
    if (!cookies_.empty()) request.headers.set("Cookie", cookies());
    if (!body.empty()) request.headers.set("Content-Type", "application/x-www-form-urlencoded");
    http::Response response = client_.send(request);
    for (const http::Header& header : response.headers.list()) {
      if (header.name != "Set-Cookie" && header.name != "set-cookie") continue;
      const size_t equals = header.value.find('=');
      const size_t end = header.value.find(';');
      cookies_[header.value.substr(0, equals)] = header.value.substr(equals + 1, end - equals - 1);
    }
    return response;
  }
  static std::string location(const http::Response& response) {
    const std::string* location = response.headers.find("Location");
    if (location == nullptr) {
      throw std::runtime_error("expected a redirect, got " + std::to_string(response.status) + ": " +
                               response.body.substr(0, 300));
    }
    return *location;
  }
  std::string cookies() const {
    std::string all;
    for (const auto& [name, value] : cookies_) all += (all.empty() ? "" : "; ") + name + "=" + value;
    return all;
  }

 private:
  http::Client client_;
  std::map<std::string, std::string> cookies_;
};

std::string path_of(const std::string& location, const std::string& issuer) {
  return location.starts_with(issuer) ? location.substr(issuer.size()) : location;
}

}  // namespace

Traffic::Traffic(const Server& server, AgentKeys keys) : server_(server), keys_(std::move(keys)) {
  consent();
}

std::string Traffic::post(const std::string& path, const std::string& client, const Fields& fields) const {
  const std::string body = http::write_form(fields);
  const std::string credentials = client + ":" + server_.secret_of(client);
  return "POST " + path + " HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(server_.port()) +
         "\r\nAuthorization: Basic " + base64(credentials) +
         "\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::string Traffic::authorize_path(const std::string& scope) const {
  return "/authorize?" + http::write_form({{"response_type", "code"},
                                           {"client_id", "planner"},
                                           {"redirect_uri", kRedirect},
                                           {"scope", scope},
                                           {"state", "xyz"},
                                           {"code_challenge", base64url(crypto::sha256(kVerifier))},
                                           {"code_challenge_method", "S256"},
                                           {"requested_actor", "agent-calendar"},
                                           {"resource", kResource}});
}

void Traffic::consent() {
  Browser browser(server_.port());
  const std::string issuer = server_.issuer();
  std::string next = path_of(Browser::location(browser.go("GET", authorize_path(kOffline))), issuer);
  std::string page = browser.go("GET", next).body;
  next =
      path_of(Browser::location(browser.go("POST", "/login",
                                           http::write_form({{"csrf", hidden(page, "csrf", "/login")},
                                                             {"request", hidden(page, "request", "/login")},
                                                             {"username", "alice"},
                                                             {"password", "correct horse battery"}}))),
              issuer);
  page = browser.go("GET", next).body;
  const std::string form = "<form class=\"decision\"";
  Browser::location(browser.go("POST", "/consent",
                               http::write_form({{"csrf", hidden(page, "csrf", form)},
                                                 {"request", hidden(page, "request", form)},
                                                 {"scope", "mail.read"},
                                                 {"scope", "calendar.write"},
                                                 {"offline", "allow"},
                                                 {"onward", "allow"},
                                                 {"decision", "allow"}})));
  cookies_ = browser.cookies();
}

std::vector<std::string> Traffic::codes(size_t count, const std::string& scope) {
  const std::string request = "GET " + authorize_path(scope) +
                              " HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(server_.port()) +
                              "\r\nCookie: " + cookies_ + "\r\n\r\n";
  const std::vector<std::string> requests(count, request);
  std::vector<std::string> found(count);
  run_load(server_.port(), kSetupConnections, requests, 303, [&](size_t i, const Answer& answer) {
    constexpr std::string_view kField = "code=";
    const size_t at = answer.head.find(kField);
    if (at == std::string_view::npos) throw std::runtime_error("no code in: " + std::string(answer.head));
    const size_t begin = at + kField.size();
    found[i] = answer.head.substr(begin, answer.head.find_first_of("&\r", begin) - begin);
  });
  return found;
}

std::string Traffic::redemption(const std::string& code, const std::string& actor_token) const {
  return post("/token", "planner",
              {{"grant_type", "authorization_code"},
               {"code", code},
               {"redirect_uri", kRedirect},
               {"code_verifier", kVerifier},
               {"actor_token", actor_token}});
}

std::vector<std::string> Traffic::redeem(size_t count, const std::string& scope, const std::string& member) {
  const std::string actor = issued_actor_token("calendar-runtime");
  std::vector<std::string> requests;
  for (const std::string& code : codes(count, scope)) requests.push_back(redemption(code, actor));
  std::vector<std::string> found(count);
  run_load(server_.port(), kSetupConnections, requests, 200,
           [&](size_t i, const Answer& answer) { found[i] = member_of(answer.body, member); });
  return found;
}

std::string Traffic::issued_actor_token(const std::string& client) const {
  std::string token;
  const std::string request =
      post("/token", client, {{"grant_type", "client_credentials"}, {"resource", server_.issuer()}});
  run_load(server_.port(), 1, {&request, 1}, 200,
           [&](size_t, const Answer& answer) { token = member_of(answer.body, "access_token"); });
  return token;
}

std::string Traffic::assertion(const std::string& agent) {
  const int64_t now = SystemClock().now().seconds();
  std::string claims;
  json::ObjectWriter writer(claims);
  writer.add("iss", agent)
      .add("sub", agent)
      .add("aud", server_.issuer())
      .add("iat", now)
      .add("exp", now + 240)
      .add("jti", "bench-assertion-" + std::to_string(++assertions_))
      .end();
  return crypto::sign_jwt(keys_.at(agent), "JWT", claims);
}

const std::vector<std::string>& Traffic::subjects() {
  if (subjects_.empty()) subjects_ = redeem(kSubjects, kScope, "access_token");
  return subjects_;
}

std::string Traffic::exchange(const std::string& subject, const std::string& actor,
                              const std::string& actor_type) const {
  return post("/token", "planner",
              {{"grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"},
               {"subject_token", subject},
               {"subject_token_type", kTokenType},
               {"actor_token", actor},
               {"actor_token_type", actor_type},
               {"scope", "mail.read"}});
}

std::vector<std::string> Traffic::client_credentials(size_t count) {
  return std::vector<std::string>(
      count, post("/token", "planner",
                  {{"grant_type", "client_credentials"}, {"scope", "mail.read"}, {"resource", kResource}}));
}

std::vector<std::string> Traffic::code_issued(size_t count) {
  const std::string actor = issued_actor_token("calendar-runtime");
  std::vector<std::string> requests;
  for (const std::string& code : codes(count, kScope)) requests.push_back(redemption(code, actor));
  return requests;
}

std::vector<std::string> Traffic::code_self_signed(size_t count) {
  std::vector<std::string> requests;
  for (const std::string& code : codes(count, kScope))
    requests.push_back(redemption(code, assertion("agent-calendar")));
  return requests;
}

std::vector<std::string> Traffic::exchange_issued(size_t count) {
  const std::string actor = issued_actor_token("search-runtime");
  std::vector<std::string> requests;
  for (size_t i = 0; i < count; ++i)
    requests.push_back(exchange(subjects()[i % kSubjects], actor, kTokenType));
  return requests;
}

std::vector<std::string> Traffic::exchange_self_signed(size_t count) {
  std::vector<std::string> requests;
  for (size_t i = 0; i < count; ++i) {
    requests.push_back(exchange(subjects()[i % kSubjects], assertion("agent-search"), kJwtType));
  }
  return requests;
}

std::vector<std::string> Traffic::refresh(size_t count) {
  const auto tokens = redeem(count, kOffline, "refresh_token");
  const std::string actor = issued_actor_token("calendar-runtime");
  std::vector<std::string> requests;
  for (const std::string& token : tokens) {
    requests.push_back(
        post("/token", "planner",
             {{"grant_type", "refresh_token"}, {"refresh_token", token}, {"actor_token", actor}}));
  }
  return requests;
}

std::vector<std::string> Traffic::introspect(size_t count) {
  std::vector<std::string> requests;
  for (size_t i = 0; i < count; ++i) {
    requests.push_back(post("/introspect", "planner-guard", {{"token", subjects()[i % kSubjects]}}));
  }
  return requests;
}

std::vector<std::string> Traffic::new_tokens(size_t count) { return redeem(count, kScope, "access_token"); }

std::vector<std::string> Traffic::guard_new(size_t count) {
  std::vector<std::string> requests;
  for (const std::string& token : new_tokens(count)) requests.push_back(guarded_request(token));
  return requests;
}

std::vector<std::string> Traffic::guard_seen(size_t count) {
  std::vector<std::string> requests;
  for (size_t i = 0; i < count; ++i) requests.push_back(guarded_request(subjects()[i % kSeen]));
  return requests;
}

}  // namespace behalf::bench
