#include "app/admin_client.h"

#include "app/commands.h"
#include "app/config.h"
#include "app/terminal.h"
#include "http/client.h"

namespace behalf::app {

AdminAnswer try_server(const std::string& config_path, const std::string& method, const std::string& path,
                       const std::string& body) {
  AdminAnswer answer;
  const auto config = read_config(config_path);
  if (!config) {
    answer.problem = config.reason();
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
    answer.problem = "refused: " + (error == nullptr ? std::string("the server gave no reason") : *error);
    answer.exit_code = response.status == 503 ? kUnreachable : kRefused;
    answer.is_malformed = response.status == 400 || response.status == 422;
  } catch (const std::exception& fault) {
    answer.problem = "no server answers on " + config->admin.unix_path + " (" + fault.what() +
                     "); is `behalf serve` running?";
    answer.exit_code = kUnreachable;
  }
  return answer;
}

AdminAnswer ask_server(const std::string& config_path, const std::string& method, const std::string& path,
                       const std::string& body, bool as_json) {
  AdminAnswer answer = try_server(config_path, method, path, body);
  if (answer.exit_code != kOk) complain(as_json, answer.exit_code, {answer.problem});
  return answer;
}

}  // namespace behalf::app
