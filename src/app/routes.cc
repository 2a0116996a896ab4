#include "app/routes.h"

#include <algorithm>
#include <map>

#include "base/bytes.h"
#include "base/embedded.h"
#include "base/uri.h"
#include "crypto/hash.h"
#include "oauth/authorize.h"
#include "oauth/authzen.h"
#include "oauth/directory.h"
#include "oauth/evidence.h"
#include "oauth/introspection.h"
#include "oauth/metadata.h"
#include "oauth/token_endpoint.h"

namespace behalf::app {
namespace {

std::string_view embedded_file(std::string_view name) {
  for (const EmbeddedFile& file : embedded_web()) {
    if (file.name == name) return file.text;
  }
  return {};
}

std::string path_of_issuer(const std::string& issuer) {
  const auto parts = split_uri(issuer);
  return parts && parts->path != "/" ? std::string(parts->path) : std::string{};
}

http::Response asset(std::string_view name, std::string_view type) {
  http::Response response;
  response.body = embedded_file(name);
  response.headers.set("Content-Type", type);
  response.headers.set("Cache-Control", "public, max-age=86400");
  response.headers.set("X-Content-Type-Options", "nosniff");
  return response;
}

Task<http::Response> ready(http::Response response) { co_return response; }

Task<http::Response> readiness(oauth::Services& services) {
  bool is_ready = true;
  try {
    co_await services.store.read(
        [](store::ReadTransaction& transaction) { (void)transaction.last_epoch(""); });
    // What can be read may still not be written. Where the last commit failed only another one tells; so a
    // server that nobody is sent to notices by itself when all is well again.
    if (services.store.is_failing()) {
      const std::string id = make_ordered_id(services.clock.now(), services.random);
      const UnixTime until = services.clock.now();
      co_await services.store.transact(
          [&](store::Transaction& transaction) { (void)transaction.remember_jti("", id, until); });
    }
  } catch (const std::exception&) {
    is_ready = false;
  }
  co_return http::text_response(is_ready ? 200 : 503, is_ready ? "ready\n" : "the store cannot be used\n");
}

struct Route {
  std::string_view method;
  std::function<Task<http::Response>(http::Request&)> handle;
};
using Table = std::map<std::string, std::vector<Route>, std::less<>>;

}  // namespace

Assets::Assets(const std::string& issuer) : base_path_(path_of_issuer(issuer)) {
  version_ = base64url(crypto::sha256(std::string(embedded_file("style.css")) +
                                      std::string(embedded_file("icon.svg"))))
                 .substr(0, 12);
}
console::Templates::Assets Assets::urls() const {
  return {.style_url = base_path_ + "/assets/style.css?v=" + version_,
          .icon_url = base_path_ + "/assets/icon.svg?v=" + version_};
}
http::Response Assets::style() const { return asset("style.css", "text/css; charset=utf-8"); }
http::Response Assets::icon() const { return asset("icon.svg", "image/svg+xml"); }

http::Limits public_limits(const std::string& issuer) {
  const std::string base = path_of_issuer(issuer);
  http::Limits limits;
  limits.sheds_load = true;
  limits.vital = {"/livez", "/readyz", base + "/revoke", base + "/ssf/poll"};
  return limits;
}

http::Handler make_public_handler(oauth::Services& services, oauth::Transmitter& transmitter,
                                  oauth::StatusLists& status_lists, console::FrontChannel& pages,
                                  const Assets& assets, const http::Listen& listen) {
  using http::Request;
  const std::string base = path_of_issuer(services.settings.issuer);
  Table table;
  const auto add = [&](std::string_view method, const std::string& path,
                       std::function<Task<http::Response>(Request&)> handle) {
    table[path].push_back({method, std::move(handle)});
  };
  const auto metadata = [&services](Request&) { return ready(oauth::server_metadata(services)); };

  add("GET", base + "/", [&pages](Request&) { return ready(pages.home()); });
  add("GET", base + "/authorize", [&pages](Request& r) { return pages.authorize(r); });
  add("POST", base + "/authorize", [&pages](Request& r) { return pages.authorize(r); });
  add("POST", base + "/par",
      [&services](Request& r) { return oauth::pushed_authorization_endpoint(services, r); });
  add("POST", base + "/token", [&services](Request& r) { return oauth::token_endpoint(services, r); });
  add("POST", base + "/introspect",
      [&services](Request& r) { return oauth::introspection_endpoint(services, r); });
  add("POST", base + "/revoke", [&services](Request& r) { return oauth::revocation_endpoint(services, r); });
  add("GET", base + "/directory", [&services](Request& r) { return oauth::directory_endpoint(services, r); });
  add("POST", base + "/evidence", [&services](Request& r) { return oauth::evidence_endpoint(services, r); });
  add("POST", base + "/access/v1/evaluation",
      [&services](Request& r) { return oauth::evaluation_endpoint(services, r); });
  add("POST", base + "/access/v1/evaluations",
      [&services](Request& r) { return oauth::evaluations_endpoint(services, r); });
  add("GET", "/.well-known/authzen-configuration" + base,
      [&services](Request&) { return ready(oauth::authzen_metadata(services)); });
  add("GET", base + "/jwks", [&services](Request&) { return ready(oauth::key_set(services)); });
  add("GET", "/.well-known/oauth-authorization-server" + base, metadata);
  add("GET", base + "/.well-known/openid-configuration", metadata);
  if (!base.empty()) {
    add("GET", "/.well-known/openid-configuration" + base, metadata);
    add("GET", base + "/.well-known/oauth-authorization-server", metadata);
  }
  add("GET", base + "/statuslists", [&status_lists](Request& r) { return status_lists.serve(r); });
  add("GET", "/.well-known/ssf-configuration" + base,
      [&services](Request&) { return ready(oauth::ssf_configuration(services)); });
  const auto signals = [&](std::string_view method, const std::string& path, auto endpoint) {
    add(method, base + "/ssf/" + path,
        [&transmitter, endpoint](Request& r) { return endpoint(transmitter, r); });
  };
  signals("POST", "streams", &oauth::ssf_create);
  signals("GET", "streams", &oauth::ssf_read);
  signals("PATCH", "streams", &oauth::ssf_update);
  signals("PUT", "streams", &oauth::ssf_replace);
  signals("DELETE", "streams", &oauth::ssf_delete);
  signals("GET", "status", &oauth::ssf_read_status);
  signals("POST", "status", &oauth::ssf_set_status);
  signals("POST", "verify", &oauth::ssf_verify);
  signals("POST", "poll", &oauth::ssf_poll);
  add("GET", base + "/login", [&pages](Request& r) { return pages.show_login(r); });
  add("POST", base + "/login", [&pages](Request& r) { return pages.login(r); });
  add("POST", base + "/switch-account", [&pages](Request& r) { return pages.switch_account(r); });
  add("GET", base + "/consent", [&pages](Request& r) { return pages.show_consent(r); });
  add("POST", base + "/consent", [&pages](Request& r) { return pages.decide_consent(r); });
  add("GET", base + "/agents", [&pages](Request& r) { return pages.show_agents(r); });
  add("POST", base + "/agents/revoke", [&pages](Request& r) { return pages.revoke(r); });
  add("POST", base + "/agents/revoke-agent", [&pages](Request& r) { return pages.revoke_agent(r); });
  add("POST", base + "/sign-out", [&pages](Request& r) { return pages.sign_out(r); });
  add("GET", base + "/assets/style.css", [&assets](Request&) { return ready(assets.style()); });
  add("GET", base + "/assets/icon.svg", [&assets](Request&) { return ready(assets.icon()); });
  add("GET", "/livez", [](Request&) { return ready(http::text_response(200, "alive\n")); });
  add("GET", "/readyz", [&services](Request&) { return readiness(services); });

  // Plain HTTP from afar counts only through a trusted proxy that says the person came by TLS.
  const bool needs_secure = !listen.tls && !is_loopback_address(listen.address);

  return [table = std::move(table), &services, &pages,
          needs_secure](Request& request) -> Task<http::Response> {
    if (needs_secure && !request.secure && request.path != "/livez" && request.path != "/readyz") {
      return ready(oauth::plain_error(400, "invalid_request", "this server is reached by https only"));
    }
    const auto routes = table.find(request.path);
    if (routes == table.end()) {
      constexpr std::string_view kResource = "/.well-known/oauth-protected-resource";
      if (request.method == "GET" && request.path.starts_with(kResource)) {
        if (auto found =
                oauth::resource_metadata(services, std::string_view(request.path).substr(kResource.size())))
          return ready(std::move(*found));
      }
      return ready(pages.not_found());
    }
    const std::string_view method =
        request.method == "HEAD" ? std::string_view("GET") : std::string_view(request.method);
    std::string allowed;
    for (const Route& route : routes->second) {
      if (route.method == method) return route.handle(request);
      allowed += (allowed.empty() ? "" : ", ") + std::string(route.method);
    }
    http::Response response = oauth::plain_error(405, "invalid_request", "this method is not allowed here");
    response.headers.set("Allow", allowed);
    return ready(std::move(response));
  };
}

}  // namespace behalf::app
