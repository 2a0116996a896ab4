#include "sdk/server_access.h"

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <utility>

#include "base/bytes.h"
#include "base/json.h"
#include "sdk/endpoint.h"

namespace behalf::sdk {
namespace {

constexpr Seconds kPatience{5};
constexpr Milliseconds kShortest = 1'000;

// RFC 6749 §2.3.1: each part form-encoded, then Basic.
std::string basic(const std::string& id, const Secret& secret) {
  return "Basic " + base64(http::percent_encode(id) + ":" + http::percent_encode(secret.reveal()));
}

std::string find_token_endpoint(const std::string& issuer, const std::string& ca_file,
                                const http::Interrupt& interrupt) {
  const json::Value metadata =
      get_object(well_known_url(issuer, "oauth-authorization-server"), ca_file, &interrupt);
  const std::string* named = metadata.find_string("issuer");
  const std::string* endpoint = metadata.find_string("token_endpoint");
  if (named == nullptr || *named != issuer) {
    throw std::runtime_error("the metadata of " + issuer + " names another issuer");
  }
  if (endpoint == nullptr || !is_as_safe_as(issuer, *endpoint)) {
    throw std::runtime_error("the metadata of " + issuer + " names no token endpoint that may be used");
  }
  return *endpoint;
}

}  // namespace

ServerAccess::ServerAccess(Account account, const http::Interrupt& interrupt)
    : account_(std::move(account)), interrupt_(interrupt) {}

http::Client ServerAccess::connect(const std::string& url, Seconds timeout,
                                   const http::Interrupt* interrupt) const {
  http::ParsedUrl parsed = http::parse_url(url);
  parsed.target.ca_file = account_.ca_file;
  return http::Client(std::move(parsed.target), timeout, interrupt);
}

http::Response ServerAccess::send(http::Client& client, http::ClientRequest request) {
  const std::string first = token();
  request.headers.set("Authorization", "Bearer " + first);
  http::Response response = client.send(request);
  if (response.status != 401) return response;
  forget(first);
  request.headers.set("Authorization", "Bearer " + token());
  return client.send(request);
}

std::string ServerAccess::token() {
  const std::lock_guard lock(mutex_);
  if (token_.empty() || steady_now() >= renew_at_) fetch();
  return std::string(token_.reveal());
}

void ServerAccess::forget(const std::string& token) {
  const std::lock_guard lock(mutex_);
  if (token_.reveal() == token) token_ = Secret();
}

void ServerAccess::fetch() {
  if (token_endpoint_.empty()) {
    token_endpoint_ = find_token_endpoint(account_.issuer, account_.ca_file, interrupt_);
  }
  http::ClientRequest request;
  request.method = "POST";
  request.path_and_query = http::parse_url(token_endpoint_).path_and_query;
  request.headers.add("Content-Type", "application/x-www-form-urlencoded");
  request.headers.add("Authorization", basic(account_.client_id, account_.client_secret));
  request.body = http::write_form(
      {{"grant_type", "client_credentials"}, {"resource", account_.issuer}, {"scope", account_.scope}});
  const Milliseconds asked = steady_now();
  http::Client client = connect(token_endpoint_, kPatience, &interrupt_);
  const http::Response response = client.send(request);
  const std::optional<json::Value> body = json::parse(response.body);
  const std::string* token = body ? body->find_string("access_token") : nullptr;
  if (response.status != 200 || token == nullptr) {
    const std::string* error = body ? body->find_string("error") : nullptr;
    throw std::runtime_error("no token for " + account_.scope + " from " + account_.issuer + ": " +
                             std::to_string(response.status) + (error == nullptr ? "" : " " + *error));
  }
  const int64_t lifetime =
      std::clamp<int64_t>(body->find_integer("expires_in").value_or(60), 0, 86'400) * 1000;
  token_ = Secret(*token);
  renew_at_ = asked + std::max(lifetime * 4 / 5, kShortest);
}

}  // namespace behalf::sdk
