// `behalf token inspect`: what an access token says, and, with the server's configuration, whether it is
// true.
#include <unistd.h>

#include <cstdio>

#include "app/admin_client.h"
#include "app/commands.h"
#include "app/config.h"
#include "app/terminal.h"
#include "base/bytes.h"
#include "crypto/jwt.h"
#include "http/message.h"
#include "oauth/issuance.h"
#include "oauth/keys.h"
#include "oauth/own_token.h"

namespace behalf::app {
namespace {

std::string read_input() {
  std::string text;
  char buffer[4096];
  for (ssize_t count;
       (count = ::read(STDIN_FILENO, buffer, sizeof buffer)) > 0 && text.size() <= crypto::kMaxJwtBytes;)
    text.append(buffer, static_cast<size_t>(count));
  while (!text.empty() && static_cast<unsigned char>(text.back()) <= ' ') text.pop_back();
  return text;
}

// What a credential is that says nothing by itself; empty for anything else.
std::string what_handle_is(const std::string& text) {
  if (text.starts_with(oauth::kAccessTokenPrefix)) {
    return "this is an opaque access token (at_...): it says nothing by itself, and is not told apart from "
           "an invented one here; its resource asks the server's /introspect, and `audit lineage` shows what "
           "a "
           "consent became";
  }
  if (text.starts_with(oauth::kRefreshTokenPrefix))
    return "this is a refresh token (rt_...), which only its client can use, at /token; it says nothing by "
           "itself";
  if (text.starts_with(oauth::kCodePrefix))
    return "this is an authorization code (ac_...), which its client redeems at /token; it says nothing by "
           "itself";
  return {};
}

// Says of the token what was found out. The exit code: whether it is to be believed.
int prove(const crypto::EncodedJwt& jwt, const Config& config, const std::string& keys, json::Value& out) {
  const auto refuse = [&](const std::string& problem, int code) {
    out.set("problems", json_list({problem}));
    return code;
  };
  const oauth::Keys ours{Secret(keys)};
  const UnixTime now = SystemClock().now();
  const auto verified = oauth::verify_own_jwt(jwt, config.settings.issuer, ours.verifying_keys(), now);
  out.set("signature", verified ? "valid" : std::string(describe(verified.reason())));
  // Of what this server did not sign it knows nothing, whatever id stands in it.
  if (!verified) return refuse("not a valid token of this server", kRefused);
  const bool is_expired = verified->expires_at() <= now;
  out.set("expired", is_expired);
  const std::string id(verified->jti());
  const AdminAnswer lineage = try_server(config.path, "GET", "/lineage?node=" + http::percent_encode(id));
  for (const json::Value& node : json::list_of(lineage.value, "nodes")) {
    if (json::text_of(node, "id") != id) continue;
    out.set("status", json::text_of(node, "status"));
    if (node.find("cause") != nullptr) out.set("cause", json::text_of(node, "cause"));
  }
  const std::string status = json::text_of(out, "status");
  if (is_expired) return refuse("expired", kRefused);
  if (status == "active") {
    out.set("valid", true);
    return kOk;
  }
  if (!status.empty()) return refuse("it does not stand any more", kRefused);
  if (lineage.exit_code == kRefused) return refuse("the server does not know this token", kRefused);
  if (lineage.exit_code == kOk) return refuse("the server does not say whether it stands", kRefused);
  return refuse(lineage.problem, lineage.exit_code);
}

void print_claims(const json::Value& claims) {
  const auto text = [](const json::Value& value, const char* name) {
    return one_line(json::text_of(value, name));
  };
  std::printf("person or software  %s (%s)\n", text(claims, "sub").c_str(),
              text(claims, "sub_profile").c_str());
  std::printf("client              %s\n", text(claims, "client_id").c_str());
  std::string indent;
  for (const json::Value* act = claims.find("act"); act != nullptr; act = act->find("act")) {
    std::printf("%s%s (%s)\n", indent.empty() ? "acting              " : ("  via " + indent).c_str(),
                text(*act, "sub").c_str(), text(*act, "sub_profile").c_str());
    indent = "              ";
  }
  std::printf("audience            %s\nscope               %s\n", text(claims, "aud").c_str(),
              text(claims, "scope").c_str());
}

}  // namespace

int inspect_token(const std::string& token, const std::string& config_path, bool as_json) {
  const std::string text = token == "-" || token.empty() ? read_input() : token;
  const auto jwt = crypto::EncodedJwt::parse(text);
  if (!jwt) {
    const std::string handle = what_handle_is(text);
    return complain(as_json, kRefused,
                    {handle.empty() ? "this is no JWT: " + std::string(describe(jwt.reason())) : handle});
  }
  json::Value out;
  out.set("header", jwt->header());
  out.set("claims", jwt->unproved_claims());
  int exit_code = kOk;
  if (!config_path.empty()) {
    const auto config = read_config(config_path);
    if (!config) return complain(as_json, kWrongUse, {config.reason()});
    const auto keys = read_text(config->key_file);
    if (!keys) return complain(as_json, kWrongUse, {keys.reason()});
    out.set("valid", false);
    try {
      exit_code = prove(*jwt, *config, *keys, out);
    } catch (const std::exception& fault) {
      return complain(as_json, kWrongUse, {config->key_file + ": " + fault.what()});
    }
  }
  if (as_json) {
    print_json(out);
    return exit_code;
  }
  print_claims(jwt->unproved_claims());
  if (const auto expires = jwt->unproved_claims().find_integer("exp")) {
    std::printf("expires             %s%s\n", rfc3339(UnixTime::from_seconds(*expires)).c_str(),
                json::flag_of(out, "expired") ? " (it has)" : "");
  }
  std::printf("signature           %s\n",
              config_path.empty() ? "not checked (give --config)" : json::text_of(out, "signature").c_str());
  if (out.find("status") != nullptr) {
    const std::string cause = json::text_of(out, "cause");
    std::printf("status              %s%s\n", json::text_of(out, "status").c_str(),
                cause.empty() ? "" : (" (" + cause + ")").c_str());
  }
  std::fflush(stdout);
  for (const json::Value& problem : json::list_of(out, "problems"))
    std::fprintf(stderr, "%s\n", one_line(*problem.string()).c_str());
  return exit_code;
}

}  // namespace behalf::app
