// Real HTTP, shown: every call of the story goes over a socket and is printed with what came back.
#pragma once

#include <string>
#include <string_view>

#include "app/demo/screen.h"
#include "app/demo/world.h"
#include "http/client.h"

namespace behalf::app {

inline constexpr const char* kTokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange";
inline constexpr const char* kJwtBearer = "urn:ietf:params:oauth:grant-type:jwt-bearer";
inline constexpr const char* kAccessTokenUrn = "urn:ietf:params:oauth:token-type:access_token";
inline constexpr const char* kJwtUrn = "urn:ietf:params:oauth:token-type:jwt";

// "agent-search ← agent-calendar": who acts now, and who passed it on. Empty without `act`.
std::string chain_of(const json::Value& claims);
// The claims of a JWT, unproved: for showing. Null if it is none.
json::Value decoded(std::string_view token);
// `name` of an authentication challenge such as `Bearer error="x", scope="y"`; empty if it has none.
std::string challenge_parameter(std::string_view challenge, std::string_view name);

struct Reply {
  int status = 0;
  http::Headers headers;
  json::Value body;  // null unless it is JSON
  std::string error() const { return text_of(body, "error"); }
};

class Wire {
 public:
  Wire(const World& world, Screen& screen) : world_(world), screen_(screen) {}

  Reply get(std::string_view who, const std::string& url);
  // An API call; without a token if `token` is empty.
  Reply call(std::string_view who, const std::string& method, const std::string& url,
             const std::string& token);
  // A form to an endpoint of the server, as `client` with its secret; `client` is not authenticated if empty.
  Reply post(std::string_view who, const std::string& endpoint, const std::string& client,
             const Parameters& parameters);

 private:
  Reply show(const http::Response& response);
  const World& world_;
  Screen& screen_;
};

}  // namespace behalf::app
