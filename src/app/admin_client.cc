#include "app/admin_client.h"

#include <cstdio>

#include "app/commands.h"
#include "app/config.h"
#include "http/client.h"

namespace behalf::app {

AdminAnswer ask_server(const std::string& config_path, const std::string& method, const std::string& path,
                       const std::string& body) {
  AdminAnswer answer;
  const auto config = read_config(config_path);
  if (!config) {
    std::fprintf(stderr, "%s\n", config.reason().c_str());
    answer.exit_code = kWrongUse;
    return answer;
  }
  try {
    http::Client client(
        {.host = "localhost", .port = 0, .unix_path = config->admin.unix_path, .tls = false, .ca_file = {}},
        Seconds{60});
    http::ClientRequest request{.method = method, .path_and_query = path, .headers = {}, .body = body};
    if (!body.empty()) request.headers.set("Content-Type", "application/json");
    const http::Response response = client.send(request);
    auto value = json::parse(response.body, {.bytes = 64 * 1024 * 1024, .depth = 32});
    if (response.status == 200 && value) {
      answer.value = std::move(*value);
      return answer;
    }
    const std::string* error = value ? value->find_string("error") : nullptr;
    std::fprintf(stderr, "refused: %s\n", error == nullptr ? "the server gave no reason" : error->c_str());
    answer.exit_code = response.status == 503 ? kUnreachable : kRefused;
  } catch (const std::exception& fault) {
    std::fprintf(stderr, "no server answers on %s (%s); is `behalf serve` running?\n",
                 config->admin.unix_path.c_str(), fault.what());
    answer.exit_code = kUnreachable;
  }
  return answer;
}

}  // namespace behalf::app
