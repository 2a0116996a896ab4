#include "oauth/directory.h"

#include "base/bytes.h"
#include "crypto/hash.h"
#include "oauth/bearer.h"

namespace behalf::oauth {
namespace {

std::string list_agents(const store::RegistryView& registry) {
  std::string body = "{\"agents\":[";
  bool first = true;
  for (const auto& agent : registry.agents()) {
    if (!first) body.push_back(',');
    first = false;
    json::ObjectWriter writer(body);
    writer.add("id", agent->id.text())
        .add("name", agent->name)
        .add("publisher", agent->publisher)
        .add_unless_empty("owner", agent->owner)
        .add("status", name_of(agent->status))
        .end();
  }
  return body += "]}";
}

// RFC 9110 §13.1.2: whatever there is, or one of a list. A tag is quoted and 43 characters of a hash: it
// stands in no other tag.
bool is_known(const http::Request& request, std::string_view tag) {
  const std::string* known = request.headers.find("If-None-Match");
  return known != nullptr && (*known == "*" || known->find(tag) != std::string::npos);
}

}  // namespace

Task<http::Response> directory_endpoint(Services& services, http::Request& request) {
  return answer(services, request, "directory.read", [](Call& call) -> Task<http::Response> {
    return tell_bearer(call, kSignalsScope, [&call](store::ReadTransaction&, const ApiCaller&) {
      std::string body = list_agents(call.services.store.registry());
      const std::string tag = "\"" + base64url(crypto::sha256(body)) + "\"";
      http::Response response;
      if (is_known(call.request, tag))
        response.status = 304;
      else
        response = http::json_response(200, std::move(body));
      response.headers.set("ETag", tag);
      response.headers.set("Cache-Control", "private, no-cache");
      return response;
    });
  });
}

}  // namespace behalf::oauth
