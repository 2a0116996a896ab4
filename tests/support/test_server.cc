#include "support/test_server.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/bytes.h"
#include "crypto/jwt.h"
#include "oauth/keys.h"

namespace behalf::test {
namespace {

json::Value list(std::initializer_list<std::string_view> items) {
  json::Value::Array array;
  for (const std::string_view item : items) array.emplace_back(item);
  return array;
}

json::Value jwks(const crypto::SigningKey& key) {
  json::Value::Array keys;
  keys.push_back(key.public_jwk());
  json::Value set;
  set.set("keys", std::move(keys));
  return set;
}

json::Value object(std::initializer_list<std::pair<std::string_view, json::Value>> members) {
  json::Value value{json::Value::Object{}};
  for (const auto& [name, member] : members) value.set(name, member);
  return value;
}

json::Value resource(const std::string& id, const std::string& name,
                     std::initializer_list<std::string_view> scopes) {
  json::Value::Array definitions;
  for (const std::string_view scope : scopes) {
    definitions.push_back(object({{"name", scope},
                                  {"title", "Title of " + std::string(scope)},
                                  {"description", "Words about " + std::string(scope)}}));
  }
  return object({{"id", id}, {"name", name}, {"scopes", std::move(definitions)}});
}

json::Value state_of_the_cast(const std::map<std::string, crypto::SigningKey>& keys) {
  const auto agent = [&](const std::string& id, std::initializer_list<std::string_view> scopes) {
    json::Value out = object({{"id", id},
                              {"name", "Agent " + id},
                              {"publisher", "Publisher of " + id},
                              {"owner", "owner-of-" + id},
                              {"description", "What " + id + " does."},
                              {"capability_version", "1"},
                              {"scopes", list(scopes)},
                              {"clients", list({"ca", "cb", "cp", "m1", "r2-server", "r1-server"})},
                              {"bearer_actor_tokens", true}});
    if (keys.contains(id)) out.set("jwks", jwks(keys.at(id)));
    return out;
  };
  json::Value a1 = agent("a1", {"r1.read", "r1.write", "r2.read", "m1.use"});
  a1.set("onward", object({{"to", list({"a2", "m1", "ag", "a4", "r1-server"})}, {"depth", 4}}));
  a1.set("refresh_lifetime", "8h");
  json::Value a2 = agent("a2", {"r1.read", "r2.read"});
  a2.set("onward", object({{"to", list({"a1", "a4", "m1", "r2-server"})}, {"depth", 3}}));
  json::Value a3 = agent("a3", {"r1.read"});
  json::Value a4 = agent("a4", {"r1.read", "r2.read"});
  a4.set("onward", object({{"to", list({"a5", "a1", "a2"})}, {"depth", 3}}));
  json::Value a5 = agent("a5", {"r1.read", "r2.read"});
  a5.set("onward", object({{"to", list({"a6"})}, {"depth", 3}}));
  json::Value a6 = agent("a6", {"r1.read", "r2.read"});
  json::Value picky = agent("a1-picky", {"r1.read"});
  picky.set("users", list({"u1"}));
  json::Value elsewhere = agent("a-elsewhere", {"r1.read"});
  elsewhere.set("clients", list({"cb"}));
  json::Value ag = agent("ag", {"r1.read", "r2.read"});
  ag.set("clients", list({"cg"}));
  ag.set("refresh_lifetime", "8h");
  json::Value child = agent("child", {"r1.read"});
  child.set("parent", "a1-runtime");

  const json::Value confidential =
      list({"authorization_code", "refresh_token", "client_credentials", kExchange});
  const auto client = [&](const std::string& id, const json::Value& grants) {
    return object({{"id", id},
                   {"name", "Client " + id},
                   {"grant_types", grants},
                   {"scopes", list({"r1.read", "r1.write", "r2.read", "m1.use"})}});
  };
  json::Value ca = client("ca", confidential);
  ca.set("redirect_uris", list({kRedirect, "https://app.example/other?fixed=1", "http://127.0.0.1/loop"}));
  ca.set("refresh_lifetime", "30d");
  json::Value cb = client("cb", confidential);
  cb.set("redirect_uris", list({kRedirect}));
  json::Value cp = client("cp", list({"authorization_code", "refresh_token"}));
  cp.set("auth_method", "none");
  cp.set("redirect_uris", list({"http://127.0.0.1/loop", "com.example.app:/cb"}));
  json::Value cg = client("cg", confidential);
  cg.set("auth_method", "private_key_jwt");
  cg.set("jwks", jwks(keys.at("cg")));
  cg.set("redirect_uris", list({kRedirect}));
  cg.set("agent", "ag");
  cg.set("refresh_lifetime", "30d");
  json::Value a1_runtime = client("a1-runtime", list({"client_credentials"}));
  a1_runtime.set("agent", "a1");
  json::Value a2_runtime = client("a2-runtime", list({"client_credentials"}));
  a2_runtime.set("agent", "a2");
  json::Value m1 = client("m1", list({kExchange, kJwtBearer, "client_credentials"}));
  m1.set("resource", kM1);
  json::Value r1_server = client("r1-server", list({kExchange, kJwtBearer}));
  r1_server.set("resource", kR1);
  r1_server.set("acts_as_service", true);
  json::Value r2_server = client("r2-server", list({kExchange}));
  r2_server.set("resource", kR2);

  json::Value state;
  json::Value m1_resource = resource(kM1, "Middle tier M1", {"m1.use", "r2.read", "r1.read"});
  m1_resource.set("scope_map",
                  json::Value::Array{object({{"scope", "m1.use"}, {"gives", list({"r2.read"})}})});
  state.set("resources", json::Value::Array{resource(kR1, "Resource R1", {"r1.read", "r1.write", "r2.read"}),
                                            resource(kR2, "Resource R2", {"r2.read"}), m1_resource});
  state.set("agents", json::Value::Array{a1, a2, a3, a4, a5, a6, picky, elsewhere, ag, child});
  state.set("clients", json::Value::Array{ca, cb, cp, cg, a1_runtime, a2_runtime, m1, r1_server, r2_server});
  state.set("users",
            json::Value::Array{object({{"id", "u1"}, {"display_name", "User One"}, {"password", kPassword}}),
                               object({{"id", "u2"},
                                       {"display_name", "User Two"},
                                       {"password", kPassword},
                                       {"entitlements", list({"r1.read", "r2.read"})}})});
  return state;
}

Reply to_reply(const http::Response& response) {
  Reply reply{.status = response.status, .headers = response.headers, .body = response.body, .json = {}};
  if (auto value = json::parse(reply.body, {.bytes = 16 * 1024 * 1024, .depth = 32}))
    reply.json = std::move(*value);
  return reply;
}

json::Value part_of(const std::string& jwt, int index) {
  size_t from = 0;
  for (int i = 0; i < index; ++i) from = jwt.find('.', from) + 1;
  const auto bytes = decode_base64url(jwt.substr(from, jwt.find('.', from) - from));
  const auto value = bytes ? json::parse(*bytes) : std::nullopt;
  return value ? *value : json::Value{};
}

}  // namespace

Fields with(Fields base, const Fields& overrides) {
  for (const auto& [name, value] : overrides) {
    std::erase_if(base, [&](const auto& field) { return field.first == name; });
  }
  for (const auto& [name, value] : overrides) {
    if (value != kLeaveOut) base.emplace_back(name, value);
  }
  return base;
}

std::string Reply::text(std::string_view member) const { return text_at(json, member); }

std::string Reply::header(std::string_view name) const {
  const std::string* value = headers.find(name);
  return value == nullptr ? std::string{} : *value;
}

std::string Reply::location_parameter(std::string_view name) const {
  const std::string location = header("Location");
  const size_t mark = location.find('?');
  const auto form = http::Form::parse(mark == std::string::npos ? std::string{} : location.substr(mark + 1));
  return form ? std::string(form->get(name)) : std::string{};
}

json::Value json_of(std::string_view text) {
  auto value = json::parse(text);
  EXPECT_TRUE(value.has_value()) << text;
  return value ? *value : json::Value{};
}

std::string text_at(const json::Value& value, std::string_view member) {
  const std::string* text = value.find_string(member);
  return text == nullptr ? std::string{} : *text;
}

json::Value header_of(const std::string& jwt) { return part_of(jwt, 0); }
json::Value claims_of(const std::string& jwt) { return part_of(jwt, 1); }

std::vector<std::string> chain_of(const std::string& jwt) {
  std::vector<std::string> chain;
  const json::Value claims = claims_of(jwt);
  for (const json::Value* act = claims.find("act"); act != nullptr; act = act->find("act"))
    chain.push_back(text_at(*act, "sub"));
  return chain;
}

Pkce make_pkce() {
  crypto::SystemRandom random;
  Pkce pkce{.verifier = make_secret_text(random), .challenge = {}};
  pkce.challenge = base64url(crypto::sha256(pkce.verifier));
  return pkce;
}

std::string hidden_input(const std::string& html, const std::string& action, const std::string& name) {
  const size_t form = html.find("action=\"" + action + "\"");
  if (form == std::string::npos) return {};
  const size_t end = html.find("</form>", form);
  const size_t input = html.find("name=\"" + name + "\"", form);
  if (input == std::string::npos || input > end) return {};
  const size_t value = html.find("value=\"", input) + 7;
  return html.substr(value, html.find('"', value) - value);
}

// ---- Browser ----

Reply Browser::send(http::ClientRequest request) {
  std::string cookie;
  for (const auto& [name, value] : cookies) cookie += (cookie.empty() ? "" : "; ") + name + "=" + value;
  if (!cookie.empty()) request.headers.set("Cookie", cookie);
  Reply reply = server_.send(request);
  for (const http::Header& header : reply.headers.list()) {
    if (header.name != "Set-Cookie") continue;
    const size_t equals = header.value.find('=');
    const std::string name = header.value.substr(0, equals);
    const std::string value = header.value.substr(equals + 1, header.value.find(';') - equals - 1);
    if (value.empty())
      cookies.erase(name);
    else
      cookies[name] = value;
  }
  return reply;
}

Reply Browser::get(const std::string& path_and_query) {
  return send({.method = "GET", .path_and_query = path_and_query, .headers = {}, .body = {}});
}

Reply Browser::post(const std::string& path, const Fields& fields, const http::Headers& headers) {
  http::ClientRequest request{
      .method = "POST", .path_and_query = path, .headers = headers, .body = http::write_form(fields)};
  request.headers.set("Content-Type", "application/x-www-form-urlencoded");
  return send(request);
}

// ---- Server ----

// A folder that names this process. Those of processes that were killed are removed by the next one.
static std::string make_scratch_folder() {
  namespace fs = std::filesystem;
  const std::string prefix = "behalf-test-";
  static const bool swept = [&] {
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(fs::temp_directory_path(), ignored)) {
      const std::string name = entry.path().filename().string();
      if (!name.starts_with(prefix)) continue;
      const pid_t owner = static_cast<pid_t>(std::strtol(name.c_str() + prefix.size(), nullptr, 10));
      if (owner > 1 && kill(owner, 0) != 0 && errno == ESRCH) fs::remove_all(entry.path(), ignored);
    }
    return true;
  }();
  (void)swept;
  std::string pattern =
      (fs::temp_directory_path() / (prefix + std::to_string(getpid()) + "-XXXXXX")).string();
  return mkdtemp(pattern.data());
}

TestServer::TestServer(const std::string& postgres) {
  folder_ = make_scratch_folder();
  config_.settings.issuer = kIssuer;
  config_.listen = {.address = "127.0.0.1", .port = 0, .unix_path = {}, .tls = {}, .trusted_proxies = {}};
  config_.admin.unix_path = folder_ + "/admin.sock";
  if (postgres.empty())
    config_.sqlite = folder_ + "/test.db";
  else
    config_.postgres = postgres;
  config_.key_file = folder_ + "/keys";
  // RSA keys take a while to make; every server of this process has the same.
  static const Secret key_file = oauth::Keys::generate(random_);
  app::write_private_file(config_.key_file, key_file.reveal());
  for (const char* id : {"a1", "a2", "a3", "a4", "a5", "a6", "ag", "cg", "stranger"}) {
    keys_.emplace(id, crypto::SigningKey::generate(crypto::Algorithm::kES256));
  }
  start();
  state_ = state_of_the_cast(keys_);
  const Reply reply = admin("POST", "/apply", state_);
  EXPECT_EQ(reply.status, 200) << reply.body;
  if (const json::Value* made = reply.json.find("secrets"); made != nullptr && made->object() != nullptr) {
    for (const json::Member& secret : *made->object()) secrets_[secret.name] = *secret.value.string();
  }
  suspend("agent", "a3");
}

TestServer::~TestServer() {
  runtime_->stop_waiting();
  server_.reset();
  admin_.reset();
  runtime_.reset();
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

void TestServer::start() {
  runtime_ = std::make_unique<app::Runtime>(config_, clock, random_);
  http::Limits admin_limits;
  admin_limits.body_bytes = 16 * 1024 * 1024;
  admin_ = std::make_unique<http::Server>(config_.admin, admin_limits, 1U, runtime_->admin_handler());
  server_ = std::make_unique<http::Server>(config_.listen, http::Limits{}, 2U, runtime_->public_handler());
}

void TestServer::trust_forwarded_addresses() {
  config_.listen.trusted_proxies = {"127.0.0.1"};
  restart();
}

void TestServer::configure(const std::function<void(oauth::Settings&)>& change) {
  change(config_.settings);
  restart();
}

void TestServer::restart() {
  runtime_->stop_waiting();
  server_.reset();
  admin_.reset();
  runtime_.reset();
  start();
}

Reply TestServer::send(const http::ClientRequest& request) {
  http::Client client(
      {.host = "127.0.0.1", .port = server_->port(), .unix_path = {}, .tls = false, .ca_file = {}},
      Seconds{30});
  return to_reply(client.send(request));
}

Reply TestServer::get(const std::string& path_and_query, const http::Headers& headers) {
  return send({.method = "GET", .path_and_query = path_and_query, .headers = headers, .body = {}});
}

Reply TestServer::post(const std::string& path, const Fields& fields, const http::Headers& headers) {
  http::ClientRequest request{
      .method = "POST", .path_and_query = path, .headers = headers, .body = http::write_form(fields)};
  if (request.headers.find("Content-Type") == nullptr)
    request.headers.set("Content-Type", "application/x-www-form-urlencoded");
  return send(request);
}

http::Headers TestServer::basic(const std::string& client) const {
  http::Headers headers;
  const auto secret = secrets_.find(client);
  if (secret != secrets_.end())
    headers.set("Authorization", "Basic " + base64(client + ":" + secret->second));
  return headers;
}

Fields TestServer::client_fields(const std::string& client) {
  if (client == "cp") return {{"client_id", "cp"}};
  if (client == "cg") {
    return {{"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
            {"client_assertion", assertion("cg")}};
  }
  return {};
}

Reply TestServer::as(const std::string& client, const std::string& path, const Fields& fields) {
  Fields all = fields;
  for (auto& field : client_fields(client)) all.push_back(std::move(field));
  return post(path, all, basic(client));
}

bool TestServer::is_active(const std::string& client, const std::string& token) {
  const Reply reply = introspect(client, token);
  EXPECT_EQ(reply.status, 200) << reply.body;
  const json::Value* active = reply.json.find("active");
  return active != nullptr && active->boolean() != nullptr && *active->boolean();
}

const crypto::SigningKey& TestServer::key_of(const std::string& id) const { return keys_.at(id); }

std::string TestServer::sign(const std::string& key_of_id, std::string_view type, const json::Value& claims) {
  return crypto::sign_jwt(keys_.at(key_of_id), type, json::write(claims));
}

std::string TestServer::assertion(const std::string& id, const json::Value& changes, std::string_view type) {
  json::Value claims = object({{"iss", id},
                               {"sub", id},
                               {"aud", kIssuer},
                               {"iat", clock.now().seconds()},
                               {"exp", clock.now().seconds() + 60},
                               {"jti", make_ordered_id(clock.now(), random_)}});
  if (changes.object() != nullptr) {
    for (const json::Member& change : *changes.object()) {
      if (change.value.is_null())
        claims.remove(change.name);
      else
        claims.set(change.name, change.value);
    }
  }
  return sign(id, type, claims);
}

std::string TestServer::issued_actor_token(const std::string& agent) {
  return token(agent + "-runtime", {{"grant_type", "client_credentials"}, {"resource", kIssuer}})
      .text("access_token");
}

Fields TestServer::authorization(const std::string& client, const std::string& agent,
                                 const std::string& scope, const Pkce& pkce,
                                 const std::string& resource_id) const {
  Fields fields{{"response_type", "code"},
                {"client_id", client},
                {"redirect_uri", client == "cp" ? "http://127.0.0.1:4711/loop" : kRedirect},
                {"scope", scope},
                {"state", "state-of-the-client"},
                {"code_challenge", pkce.challenge},
                {"code_challenge_method", "S256"},
                {"resource", resource_id}};
  if (!agent.empty()) fields.emplace_back("requested_actor", agent);
  return fields;
}

Reply TestServer::sign_in(Browser& browser, const std::string& user, const std::string& request_id) {
  const Reply page = browser.get("/login" + (request_id.empty() ? std::string{} : "?request=" + request_id));
  return browser.post("/login", {{"csrf", hidden_input(page.body, "/login", "csrf")},
                                 {"request", request_id},
                                 {"username", user},
                                 {"password", kPassword}});
}

Reply TestServer::authorize(Browser& browser, const Fields& parameters, const Decision& decision) {
  Reply reply = browser.get("/authorize?" + http::write_form(parameters));
  if (reply.status == 303 && reply.header("Location").starts_with("/login")) {
    reply = sign_in(browser, decision.user, reply.location_parameter("request"));
  }
  if (reply.status != 303 || !reply.header("Location").starts_with("/consent")) return reply;
  const Reply page = browser.get(reply.header("Location"));
  if (page.status != 200) return page;
  Fields form{{"csrf", hidden_input(page.body, "/consent", "csrf")},
              {"request", hidden_input(page.body, "/consent", "request")},
              {"decision", decision.allow ? "allow" : "deny"}};
  if (decision.onward) form.emplace_back("onward", "allow");
  if (decision.scopes) {
    for (const std::string& scope : *decision.scopes) form.emplace_back("scope", scope);
  } else {
    size_t at = 0;
    while ((at = page.body.find("name=\"scope\" value=\"", at)) != std::string::npos) {
      at += 20;
      form.emplace_back("scope", page.body.substr(at, page.body.find('"', at) - at));
    }
  }
  return browser.post("/consent", form);
}

TestServer::Code TestServer::get_code(const std::string& client, const std::string& agent,
                                      const std::string& scope, const std::string& resource_id,
                                      const Decision& decision) {
  Browser browser(*this);
  Code code{.code = {}, .pkce = make_pkce()};
  const Reply reply =
      authorize(browser, authorization(client, agent, scope, code.pkce, resource_id), decision);
  code.code = reply.location_parameter("code");
  EXPECT_NE(code.code, "") << reply.status << " " << reply.header("Location") << "\n" << reply.body;
  return code;
}

Fields TestServer::redemption(const Code& code, const std::string& agent) {
  Fields fields{{"grant_type", "authorization_code"},
                {"code", code.code},
                {"code_verifier", code.pkce.verifier},
                {"redirect_uri", kRedirect}};
  if (!agent.empty()) {
    fields.emplace_back("actor_token", assertion(agent));
    fields.emplace_back("actor_token_type", kJwtType);
  }
  return fields;
}

Reply TestServer::flow(const std::string& client, const std::string& agent, const std::string& scope,
                       const std::string& resource_id, const Decision& decision) {
  const Code code = get_code(client, agent, scope, resource_id, decision);
  Fields fields = redemption(code, client == "cg" ? std::string{} : agent);
  if (client == "cp") fields = with(fields, {{"redirect_uri", "http://127.0.0.1:4711/loop"}});
  return token(client, fields);
}

Reply TestServer::exchange(const std::string& client, const std::string& subject_token,
                           const std::string& actor, const Fields& more) {
  Fields fields{
      {"grant_type", kExchange}, {"subject_token", subject_token}, {"subject_token_type", kAccessTokenType}};
  if (!actor.empty()) {
    fields.emplace_back("actor_token", assertion(actor));
    fields.emplace_back("actor_token_type", kJwtType);
  }
  return token(client, with(fields, more));
}

Reply TestServer::on_behalf_of(const std::string& client, const std::string& assertion_token,
                               const std::string& scope, const Fields& more) {
  return token(client, with({{"grant_type", kJwtBearer},
                             {"assertion", assertion_token},
                             {"scope", scope},
                             {"requested_token_use", "on_behalf_of"}},
                            more));
}

Reply TestServer::admin(const std::string& method, const std::string& path, const json::Value& body) {
  http::Client client(
      {.host = "localhost", .port = 0, .unix_path = config_.admin.unix_path, .tls = false, .ca_file = {}},
      Seconds{30});
  http::ClientRequest request{.method = method, .path_and_query = path, .headers = {}, .body = {}};
  if (!body.is_null()) {
    request.body = json::write(body);
    request.headers.set("Content-Type", "application/json");
  }
  return to_reply(client.send(request));
}

void TestServer::apply(const json::Value& state) {
  const Reply reply = admin("POST", "/apply", state);
  ASSERT_EQ(reply.status, 200) << reply.body;
  if (const json::Value* made = reply.json.find("secrets"); made != nullptr && made->object() != nullptr) {
    for (const json::Member& secret : *made->object()) secrets_[secret.name] = *secret.value.string();
  }
}

void TestServer::change(const std::string& kinds, const std::string& id, const std::string& member,
                        json::Value value) {
  for (json::Member& list_member : *state_.object()) {
    if (list_member.name != kinds) continue;
    for (json::Value& item : *list_member.value.array()) {
      if (text_at(item, "id") != id) continue;
      if (value.is_null())
        item.remove(member);
      else
        item.set(member, std::move(value));
      json::Value one;
      one.set(kinds, json::Value::Array{item});
      return apply(one);
    }
  }
  FAIL() << "no " << kinds << " " << id;
}

void TestServer::suspend(const std::string& kind, const std::string& id) {
  const Reply reply = admin("POST", "/" + kind + "s/suspend", object({{"id", id}}));
  ASSERT_EQ(reply.status, 200) << reply.body;
}

void TestServer::resume(const std::string& kind, const std::string& id) {
  const Reply reply = admin("POST", "/" + kind + "s/resume", object({{"id", id}}));
  ASSERT_EQ(reply.status, 200) << reply.body;
}

std::vector<json::Value> TestServer::audit() {
  std::vector<json::Value> records;
  const Reply reply = admin("GET", "/audit?limit=10000");
  const json::Value* list = reply.json.find("records");
  if (list == nullptr) return records;
  for (const json::Value& entry : *list->array()) {
    if (auto record = json::parse(text_at(entry, "record"), {.bytes = 1024 * 1024, .depth = 32}))
      records.push_back(std::move(*record));
  }
  return records;
}

json::Value TestServer::last_audit() {
  const Reply reply = admin("GET", "/audit?newest=1&limit=1");
  const json::Value* list = reply.json.find("records");
  if (list == nullptr || list->array()->empty()) return {};
  return *json::parse(text_at(list->array()->front(), "record"), {.bytes = 1024 * 1024, .depth = 32});
}

std::string TestServer::whole_audit_text() { return admin("GET", "/audit?limit=10000").body; }

bool TestServer::audit_chain_verifies() {
  std::string previous(32, '\0');
  const Reply reply = admin("GET", "/audit?limit=10000");
  const json::Value* list = reply.json.find("records");
  if (list == nullptr) return false;
  int64_t sequence = 0;
  for (const json::Value& entry : *list->array()) {
    const Digest digest = crypto::sha256(previous + text_at(entry, "record"));
    if (hex(digest) != text_at(entry, "hash") || entry.find_integer("sequence") != ++sequence) return false;
    previous = as_text(digest);
  }
  return true;
}

void expect_refused(TestServer& server, const Reply& reply, int status, const std::string& error,
                    const std::string& reason, const std::vector<std::string>& secrets) {
  EXPECT_EQ(reply.status, status) << reply.body;
  EXPECT_EQ(reply.error(), error) << reply.body;
  EXPECT_EQ(reply.body.find("access_token\""), std::string::npos);
  EXPECT_EQ(reply.header("Cache-Control"), "no-store");
  const json::Value record = server.last_audit();
  EXPECT_EQ(text_at(record, "outcome"), "denied") << json::write(record);
  EXPECT_EQ(text_at(record, "error"), error) << json::write(record);
  const std::string recorded = text_at(record, "reason");
  EXPECT_TRUE(reason.empty() ? !recorded.empty() : recorded == reason) << "recorded reason: " << recorded;
  EXPECT_TRUE(server.audit_chain_verifies());
  const std::string log = secrets.empty() ? std::string{} : server.whole_audit_text();
  for (const std::string& secret : secrets) {
    EXPECT_TRUE(secret.empty() || log.find(secret) == std::string::npos) << "a secret is in the audit log";
  }
}

}  // namespace behalf::test
