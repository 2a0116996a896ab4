#include "console/session.h"

#include "base/secret.h"
#include "base/uri.h"
#include "oauth/issuance.h"

namespace behalf::console {
namespace {

constexpr std::string_view kBrowserCookie = "behalf_browser";
constexpr std::string_view kSessionCookie = "behalf_session";
constexpr std::string_view kSessionPrefix = "s_";
constexpr std::string_view kPasswordAcr = "urn:behalf:acr:password";

}  // namespace

// "__Host-" pins a cookie to this host and to TLS; a browser would refuse it on a plain loopback address.
std::string Cookies::name(std::string_view plain) const {
  return (secure_ ? "__Host-" : "") + std::string(plain);
}

std::optional<std::string> Cookies::browser(const http::Request& request) const {
  auto value = request.cookie(name(kBrowserCookie));
  if (!value || value->size() != kSecretLength) return std::nullopt;
  return value;
}

std::optional<std::string> Cookies::session(const http::Request& request) const {
  return request.cookie(name(kSessionCookie));
}

void Cookies::set(http::Response& response, std::string_view plain, std::string_view value,
                  std::string_view attributes) const {
  std::string cookie = name(plain) + "=" + std::string(value) + "; Path=/; HttpOnly; SameSite=Lax";
  if (secure_) cookie += "; Secure";
  cookie += attributes;
  response.headers.add("Set-Cookie", cookie);
}

void Cookies::set_browser(http::Response& response, std::string_view value) const {
  set(response, kBrowserCookie, value, {});
}

void Cookies::set_session(http::Response& response, std::string_view value, Seconds lifetime) const {
  set(response, kSessionCookie, value, "; Max-Age=" + std::to_string(lifetime.count));
}

void Cookies::clear_session(http::Response& response) const {
  set(response, kSessionCookie, "", "; Max-Age=0");
}

std::optional<Session> find_session(oauth::Call& call, store::ReadTransaction& transaction,
                                    std::string_view cookie) {
  const auto handle = oauth::parse_handle(kSessionPrefix, cookie);
  if (!handle) return std::nullopt;
  auto session = transaction.find_session(SessionId(handle->id.text()));
  if (!session ||
      !constant_time_equal(session->secret_hash, call.services.keys.lookup_hash(handle->secret))) {
    return std::nullopt;
  }
  if (session->ended_at || session->expires_at <= call.now) return std::nullopt;
  if (session->last_seen_at + call.settings().session_idle <= call.now) return std::nullopt;
  const auto user = transaction.find_user(session->user);
  if (user == nullptr || !user->is_active() || user->epoch != session->user_epoch) return std::nullopt;
  return session;
}

NewSession make_session(oauth::Call& call, const User& user) {
  const oauth::Handle handle{NodeId(call.new_id()), make_secret_text(call.services.random)};
  NewSession made;
  made.session.id = SessionId(handle.id.text());
  made.session.secret_hash = call.services.keys.lookup_hash(handle.secret);
  made.session.user = user.id;
  made.session.user_epoch = user.epoch;
  made.session.sign_in = {.auth_time = call.now, .acr = std::string(kPasswordAcr), .amr = "pwd"};
  made.session.created_at = call.now;
  made.session.last_seen_at = call.now;
  made.session.expires_at = call.now + call.settings().session_lifetime;
  made.cookie = oauth::write_handle(kSessionPrefix, handle);
  return made;
}

bool is_from_our_pages(const http::Request& request, const std::string& issuer) {
  if (const std::string* site = request.headers.find("Sec-Fetch-Site")) {
    if (*site != "same-origin" && *site != "none") return false;
  }
  const std::string* origin = request.headers.find("Origin");
  // Our pages send no referrer, which makes browsers write the origin as "null".
  if (origin == nullptr || *origin == "null") return true;
  const auto parts = split_uri(issuer);
  return parts && parts->authority &&
         *origin == std::string(parts->scheme) + "://" + std::string(*parts->authority);
}

}  // namespace behalf::console
