#include "app/demo/api.h"

#include "base/json.h"

namespace behalf::app {
namespace {

struct Route {
  std::string_view method;
  std::string_view path;
  std::string_view result;  // JSON
};
constexpr Route kRoutes[] = {{"GET", "/planner/week", R"({"free":["Tue 10:00","Thu 14:30"]})"},
                             {"GET", "/planner/notes", R"({"notes":["Ask Bob about the boat"]})"},
                             {"POST", "/planner/meetings", R"({"booked":"Tue 10:00"})"},
                             {"GET", "/mail/inbox", R"({"subjects":["Lunch on Tuesday?"]})"}};

std::string header(const http::Request& request, std::string_view name) {
  const std::string* value = request.headers.find(name);
  return value == nullptr ? std::string{} : *value;
}

// "agent-b, agent-a": the chain as the guard writes it.
json::Value::Array split(std::string_view text) {
  constexpr std::string_view kBetween = ", ";
  json::Value::Array parts;
  while (!text.empty()) {
    const size_t end = text.find(kBetween);
    parts.emplace_back(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + kBetween.size());
  }
  return parts;
}

}  // namespace

std::unique_ptr<http::Server> listen_near(uint16_t preferred, http::Handler handler) {
  http::Listen listen;
  listen.address = "127.0.0.1";
  listen.port = preferred;
  try {
    return std::make_unique<http::Server>(listen, http::Limits{}, 1, handler);
  } catch (const std::runtime_error&) {
    if (preferred == 0) throw;
  }
  return listen_near(0, std::move(handler));
}

DemoApi::DemoApi(const World& world) {
  http::Listen listen;
  listen.unix_path = world.api_socket();
  server_ = std::make_unique<http::Server>(
      listen, http::Limits{}, 1, http::Handler([this](http::Request& request) -> Task<http::Response> {
        return [](DemoApi* api, http::Request* asked) -> Task<http::Response> {
          co_return api->answer(*asked);
        }(this, &request);
      }));
}

std::vector<std::string> DemoApi::log() const {
  const std::lock_guard lock(mutex_);
  return log_;
}

http::Response DemoApi::answer(const http::Request& request) {
  const Route* route = nullptr;
  for (const Route& candidate : kRoutes) {
    if (candidate.path == request.path && candidate.method == request.method) route = &candidate;
  }
  if (route == nullptr) return http::json_response(404, R"({"error":"not_found"})");
  const std::string chain = header(request, "Behalf-Chain");
  json::Value saw;
  saw.set("person", header(request, "Behalf-Subject"));
  saw.set("client", header(request, "Behalf-Client"));
  saw.set("acting_now", header(request, "Behalf-Actor"));
  saw.set("chain", split(chain));
  {
    const std::lock_guard lock(mutex_);
    log_.push_back(std::string(route->method) + " " + std::string(route->path) +
                   "  person=" + header(request, "Behalf-Subject") +
                   "  client=" + header(request, "Behalf-Client") + "  acting=" + chain);
  }
  json::Value out;
  out.set("saw", std::move(saw));
  if (auto result = json::parse(route->result)) out.set("result", std::move(*result));
  return http::json_response(200, json::write(out));
}

}  // namespace behalf::app
