#include "sdk/endpoint.h"

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <utility>

namespace behalf::sdk {
namespace {

constexpr Seconds kPatience{5};

}  // namespace

std::string well_known_url(std::string_view issuer, std::string_view name) {
  http::parse_url(issuer);
  if (issuer.find('?') != std::string_view::npos) {
    throw std::invalid_argument("an issuer has no query: " + std::string(issuer));
  }
  const size_t path = std::min(issuer.find('/', issuer.find("://") + 3), issuer.size());
  std::string url(issuer.substr(0, path));
  url.append("/.well-known/").append(name);
  if (issuer.substr(path) != "/") url.append(issuer.substr(path));
  return url;
}

bool is_as_safe_as(std::string_view issuer, std::string_view url) {
  return url.starts_with("https://") || (url.starts_with("http://") && !issuer.starts_with("https://"));
}

json::Value get_object(const std::string& url, const std::string& ca_file, const http::Interrupt* interrupt) {
  http::ParsedUrl parsed = http::parse_url(url);
  parsed.target.ca_file = ca_file;
  http::Client client(parsed.target, kPatience, interrupt);
  http::ClientRequest request;
  request.path_and_query = parsed.path_and_query;
  request.headers.add("Accept", "application/json");
  const http::Response response = client.send(request);
  if (response.status != 200) {
    throw std::runtime_error(url + " answers " + std::to_string(response.status));
  }
  std::optional<json::Value> document = json::parse(response.body);
  if (!document || document->object() == nullptr) throw std::runtime_error(url + " is no JSON object");
  return std::move(*document);
}

}  // namespace behalf::sdk
