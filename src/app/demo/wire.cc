#include "app/demo/wire.h"

#include "crypto/jwt.h"

namespace behalf::app {

std::string chain_of(const json::Value& claims) {
  std::string chain;
  for (const json::Value* act = claims.find("act"); act != nullptr; act = act->find("act")) {
    chain += (chain.empty() ? "" : " ← ") + text_of(*act, "sub");
  }
  return chain;
}

json::Value decoded(std::string_view token) {
  const auto jwt = crypto::EncodedJwt::parse(token);
  return jwt ? jwt->unproved_claims() : json::Value{};
}

std::string challenge_parameter(std::string_view challenge, std::string_view name) {
  const std::string start = std::string(name) + "=\"";
  for (size_t at = challenge.find(start); at != std::string_view::npos; at = challenge.find(start, at + 1)) {
    if (at == 0 || (challenge[at - 1] != ' ' && challenge[at - 1] != ',')) continue;
    const size_t begin = at + start.size();
    const size_t end = challenge.find('"', begin);
    if (end != std::string_view::npos) return std::string(challenge.substr(begin, end - begin));
  }
  return {};
}

Reply Wire::show(const http::Response& response) {
  Reply reply{.status = response.status, .headers = response.headers, .body = {}};
  if (auto value = json::parse(response.body)) reply.body = std::move(*value);
  std::string summary = reply.error();
  if (const std::string detail = text_of(reply.body, "error_description"); !detail.empty())
    summary += ": " + detail;
  screen_.came_back(reply.status, summary);
  if (const std::string* challenge = response.headers.find("WWW-Authenticate")) {
    screen_.aside("  WWW-Authenticate: " + printable(*challenge));
  }
  return reply;
}

Reply Wire::get(std::string_view who, const std::string& url) {
  screen_.sent(who, "GET", url, {});
  return show(http::fetch(url, {}));
}

Reply Wire::call(std::string_view who, const std::string& method, const std::string& url,
                 const std::string& token) {
  Parameters shown;
  if (!token.empty()) shown.emplace_back("Authorization", "Bearer " + abbreviated(token));
  screen_.sent(who, method, url, shown);
  http::ClientRequest request;
  request.method = method;
  if (!token.empty()) request.headers.set("Authorization", "Bearer " + token);
  return show(http::fetch(url, request));
}

Reply Wire::post(std::string_view who, const std::string& endpoint, const std::string& client,
                 const Parameters& parameters) {
  const std::string url = world_.issuer() + endpoint;
  screen_.sent(who, "POST", url, parameters);
  http::ClientRequest request;
  request.method = "POST";
  request.headers.set("Content-Type", "application/x-www-form-urlencoded");
  if (!client.empty()) request.headers.set("Authorization", world_.basic(client));
  request.body = http::write_form(parameters);
  return show(http::fetch(url, request));
}

}  // namespace behalf::app
