// Registered things as JSON: what is written reads back, and whatever is not understood is refused in words
// that name the thing and the member. Names are shown to people who decide by them, so no text may hide or
// reorder what it says.
#include "model/registry_json.h"

#include <gtest/gtest.h>

namespace behalf {
namespace {

json::Value parsed(std::string_view text) {
  auto value = json::parse(text);
  EXPECT_TRUE(value) << text;
  return value ? *value : json::Value();
}

constexpr std::string_view kUser =
    R"({"id":"u1","username":"alice","display_name":"Alice","entitlements":["a","b"]})";
constexpr std::string_view kAgent =
    R"({"id":"a1","name":"Agent","publisher":"P Ltd","owner":"o@example","description":"Does.","capability_version":"2",)"
    R"("jwks":{"keys":[]},"scopes":["a"],"clients":["c1"],"users":["u1"],"resources":["r"],)"
    R"("onward":{"to":["*"],"depth":2,"lifetime":60},"reenter_after":["m"],"access_token_lifetime":120,)"
    R"("refresh_lifetime":3600,"bearer_actor_tokens":true,"parent":"c1","intents":[{"name":"intent:meet","text":"Meet."}]})";
constexpr std::string_view kClient =
    R"({"id":"c1","name":"Client","auth_method":"private_key_jwt","jwks":{"keys":[]},"redirect_uris":["https://c.example/cb"],)"
    R"("grant_types":["authorization_code","refresh_token"],"scopes":["a"],"agent":"a1","resource":"r","acts_as_service":true,)"
    R"("introduces":["a2"],"may_act":{"sub":"a1"},"require_requested_actor":true,"require_pushed_authorization_requests":true,)"
    R"("access_token_lifetime":60,"refresh_lifetime":7200})";
constexpr std::string_view kResource =
    R"({"id":"r","name":"R","aliases":["api://r"],"scopes":[{"name":"a","title":"Do a","description":"Really.","required_acr":"low"}],)"
    R"("scope_map":[{"scope":"a","gives":["b"]}],"signing_alg":"EdDSA","access_token_lifetime":30,"emit_aut":true,"required_acr":"high",)"
    R"("token_format":"opaque","chain_disclosure":"outermost","subject_type":"pairwise"})";

template <class T, class Parse>
void expect_round_trip(std::string_view text, Parse parse, const T& /*kind*/) {
  const json::Value value = parsed(text);
  const auto thing = parse(value, Detail::kState);
  ASSERT_TRUE(thing) << thing.reason();
  EXPECT_EQ(json::write(to_json(*thing, Detail::kState)), text);
  const json::Value stored = to_json(*thing, Detail::kStored);
  const auto again = parse(stored, Detail::kStored);
  ASSERT_TRUE(again) << again.reason();
  EXPECT_EQ(json::write(to_json(*again, Detail::kStored)), json::write(stored));
  EXPECT_FALSE(parse(stored, Detail::kState)) << "what only the store keeps is no member of a state file";
}

TEST(RegistryJson, every_kind_round_trips_in_both_details) {
  expect_round_trip(kUser, parse_user, User{});
  expect_round_trip(kAgent, parse_agent, Agent{});
  expect_round_trip(kClient, parse_client, Client{});
  expect_round_trip(kResource, parse_resource, Resource{});
}

TEST(RegistryJson, hashes_status_and_epochs_are_stored_and_never_shown) {
  Client client;
  client.id = ClientId(std::string("c"));
  client.name = "C";
  client.secret_hash = "hash-now";
  client.previous_secret_hash = "hash-before";
  client.previous_secret_until = {99};
  client.status = Status::kSuspended;
  client.epoch = 4;
  client.version = 7;
  EXPECT_EQ(json::write(to_json(client, Detail::kState)).find("hash-"), std::string::npos);
  const auto again = parse_client(to_json(client, Detail::kStored), Detail::kStored);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->secret_hash, "hash-now");
  EXPECT_EQ(again->previous_secret_hash, "hash-before");
  EXPECT_EQ(again->previous_secret_until.milliseconds, 99);
  EXPECT_EQ(again->status, Status::kSuspended);
  EXPECT_EQ(again->epoch, 4);
  EXPECT_EQ(again->version, 7);
  User user;
  user.id = UserId(std::string("u"));
  user.password_hash = "$argon2id$x";
  EXPECT_EQ(json::write(to_json(user, Detail::kState)).find("argon2"), std::string::npos);
  EXPECT_EQ(parse_user(to_json(user, Detail::kStored), Detail::kStored)->password_hash, "$argon2id$x");
}

TEST(RegistryJson, defaults_are_the_narrow_ones) {
  const auto agent = parse_agent(parsed(R"({"id":"a","name":"A","publisher":"P"})"), Detail::kState);
  ASSERT_TRUE(agent) << agent.reason();
  EXPECT_TRUE(agent->scopes.empty());
  EXPECT_FALSE(agent->clients.everyone);
  EXPECT_TRUE(agent->clients.names.empty());
  EXPECT_TRUE(agent->users.everyone);
  EXPECT_EQ(agent->onward.depth, 0);
  EXPECT_FALSE(agent->onward.to.everyone);
  EXPECT_FALSE(agent->refresh_lifetime);
  EXPECT_FALSE(agent->bearer_actor_tokens);
  EXPECT_EQ(agent->access_token_lifetime, Seconds{300});
  const auto onward =
      parse_agent(parsed(R"({"id":"a","name":"A","publisher":"P","onward":{"to":["b"]}})"), Detail::kState);
  ASSERT_TRUE(onward);
  EXPECT_EQ(onward->onward.depth, 1) << "naming someone allows one hop";
  const auto user = parse_user(parsed(R"({"id":"u"})"), Detail::kState);
  ASSERT_TRUE(user);
  EXPECT_EQ(user->username, "u");
  EXPECT_FALSE(user->entitlements);
  const auto client = parse_client(parsed(R"({"id":"c","name":"C"})"), Detail::kState);
  ASSERT_TRUE(client);
  EXPECT_EQ(client->auth_method, ClientAuthMethod::kClientSecretBasic);
  EXPECT_TRUE(client->grant_types.empty());
  EXPECT_FALSE(client->acts_as_service);
}

using Change = std::pair<const char*, const char*>;  // member, JSON of its value

template <class Parse>
void expect_refused(std::string_view base, Parse parse, std::initializer_list<Change> changes) {
  for (const auto& [member, text] : changes) {
    json::Value value = parsed(base);
    value.set(member, parsed(text));
    const auto result = parse(value, Detail::kState);
    ASSERT_FALSE(result) << member << " = " << text;
    // Inside a list of scopes the sentence speaks of one "scope".
    const std::string_view word = std::string_view(member) == "scopes" ? "scope" : member;
    EXPECT_NE(result.reason().find(word), std::string::npos) << result.reason();
  }
}

TEST(RegistryJson, wrong_types_and_impossible_values_name_the_member) {
  expect_refused(kUser, parse_user,
                 {{"id", "5"},
                  {"id", "\"a b\""},
                  {"id", "\"\""},
                  {"username", "[]"},
                  {"entitlements", "\"a\""},
                  {"entitlements", "[1]"},
                  {"entitlements", "[\"a b\"]"},
                  {"entitlements", "[\"a\",\"a\"]"},
                  {"password_hash", "\"x\""},
                  {"epoch", "2"}});
  expect_refused(kAgent, parse_agent,
                 {{"name", "\"\""},
                  {"publisher", "7"},
                  {"jwks", "[]"},
                  {"scopes", "{}"},
                  {"clients", "[\"*\",\"c\"]"},
                  {"clients", "\"*\""},
                  {"users", "[\"\"]"},
                  {"access_token_lifetime", "0"},
                  {"access_token_lifetime", "\"2h\""},
                  {"access_token_lifetime", "1.5"},
                  {"refresh_lifetime", "\"366d\""},
                  {"refresh_lifetime", "\"soon\""},
                  {"bearer_actor_tokens", "\"true\""},
                  {"bearer_actor_tokens", "1"},
                  {"onward", "[]"},
                  {"onward", R"({"depth":17})"},
                  {"onward", R"({"depth":-1})"},
                  {"onward", R"({"onward_to":["a"]})"}});
  expect_refused(kClient, parse_client,
                 {{"auth_method", "\"client_secret_jwt\""},
                  {"auth_method", "\"NONE\""},
                  {"jwks", "null"},
                  {"redirect_uris", "\"https://c.example\""},
                  {"redirect_uris", "[]"},
                  {"grant_types", "[\"password\"]"},
                  {"grant_types", "[\"implicit\"]"},
                  {"acts_as_service", "0"},
                  {"may_act", "\"a1\""},
                  {"introduces", "{}"},
                  {"access_token_lifetime", "\"61m\""},
                  {"secret_hash", "\"x\""}});
  expect_refused(kResource, parse_resource,
                 {{"scopes", "[]"},
                  {"scopes", "\"a\""},
                  {"scopes", R"(["a"])"},
                  {"scopes", R"([{"name":"a b"}])"},
                  {"scopes", R"([{"title":"x"}])"},
                  {"scopes", R"([{"name":"a"},{"name":"a"}])"},
                  {"scopes", R"([{"name":"offline_access"}])"},
                  {"scopes", R"([{"name":"openid"}])"},
                  {"scope_map", R"([{"scope":"zzz","gives":["b"]}])"},
                  {"scope_map", "{}"},
                  {"signing_alg", "\"none\""},
                  {"signing_alg", "\"HS256\""},
                  {"access_token_lifetime", "3601"},
                  {"emit_aut", "\"yes\""}});
}

TEST(RegistryJson, unknown_keys_are_errors_and_the_thing_is_named) {
  expect_refused(kUser, parse_user, {{"admin", "true"}});
  expect_refused(kAgent, parse_agent, {{"scope", "[\"a\"]"}});
  expect_refused(kClient, parse_client, {{"redirect_uri", "\"https://c.example/cb\""}});
  expect_refused(kResource, parse_resource, {{"scopess", "[]"}});
  EXPECT_EQ(parse_user(parsed(R"({"id":"u","admin":true})"), Detail::kState).reason(),
            "user \"u\": unknown key \"admin\"");
  EXPECT_FALSE(parse_user(parsed("[]"), Detail::kState));
  EXPECT_FALSE(parse_agent(parsed("\"a\""), Detail::kState));
}

TEST(RegistryJson, names_that_hide_or_reorder_text_are_refused) {
  const std::pair<const char*, std::string> kHostile[] = {
      {"right-to-left override",
       "Good\xE2\x80\xAE"
       "dab"},
      {"left-to-right embedding", "\xE2\x80\xAAx"},
      {"isolate",
       "a\xE2\x81\xA6"
       "b"},
      {"zero-width space",
       "Cal\xE2\x80\x8B"
       "endar"},
      {"zero-width joiner",
       "a\xE2\x80\x8D"
       "b"},
      {"word joiner",
       "a\xE2\x81\xA0"
       "b"},
      {"line separator",
       "a\xE2\x80\xA8"
       "b"},
      {"newline", "a\nb"},
      {"tab", "a\tb"},
      {"escape", "a\x1B[31m"},
      {"delete", "a\x7F"},
      {"C1 control",
       "a\xC2\x9B"
       "b"},
      {"bad UTF-8", "a\xC0\xAF"},
      {"too long", std::string(2001, 'a')},
  };
  for (const auto& [what, name] : kHostile) {
    json::Value agent = parsed(kAgent);
    agent.set("name", name);
    EXPECT_FALSE(parse_agent(agent, Detail::kState)) << what;
    json::Value publisher = parsed(kAgent);
    publisher.set("publisher", name);
    EXPECT_FALSE(parse_agent(publisher, Detail::kState)) << what;
    json::Value client = parsed(kClient);
    client.set("name", name);
    EXPECT_FALSE(parse_client(client, Detail::kState)) << what;
    json::Value user = parsed(kUser);
    user.set("display_name", name);
    EXPECT_FALSE(parse_user(user, Detail::kState)) << what;
    json::Value resource = parsed(R"({"id":"r","scopes":[{"name":"a"}]})");
    json::Value scope;
    scope.set("name", "a");
    scope.set("title", name);
    resource.set("scopes", json::Value::Array{scope});
    EXPECT_FALSE(parse_resource(resource, Detail::kState)) << what;
  }
  for (const char* name : {"Kalender-Agent f\xC3\xBCr B\xC3\xBCro", "\xE6\x97\xA5\xE6\x9C\xAC\xE8\xAA\x9E",
                           "\xD7\xA9\xD7\x9C\xD7\x95\xD7\x9D", "Emoji \xF0\x9F\x93\x85", "<b>not bold</b>",
                           "\xE2\x82\xAC 5 \xE2\x80\x93 \xE2\x80\x9Cquoted\xE2\x80\x9D"}) {
    json::Value agent = parsed(kAgent);
    agent.set("name", name);
    EXPECT_TRUE(parse_agent(agent, Detail::kState)) << name;
  }
}

TEST(RegistryJson, a_public_client_has_only_the_two_grants_that_need_no_secret) {
  const auto client_with = [](std::string_view grant_type) {
    json::Value value =
        parsed(R"({"id":"c","name":"C","auth_method":"none","redirect_uris":["https://c.example/cb"]})");
    value.set("grant_types", json::Value::Array{json::Value(grant_type)});
    return parse_client(value, Detail::kState);
  };
  EXPECT_TRUE(client_with("authorization_code"));
  EXPECT_TRUE(client_with("refresh_token"));
  for (const char* type : {"client_credentials", "urn:ietf:params:oauth:grant-type:token-exchange",
                           "urn:ietf:params:oauth:grant-type:jwt-bearer"}) {
    const auto refused = client_with(type);
    ASSERT_FALSE(refused) << type;
    EXPECT_NE(refused.reason().find("public client"), std::string::npos) << refused.reason();
  }
}

TEST(RegistryJson, scopes_of_this_server_are_for_the_ceiling_of_software_alone) {
  const auto fits = [](std::string_view kind, std::string_view text) {
    const json::Value value = parsed(text);
    if (kind == "client") return static_cast<bool>(parse_client(value, Detail::kState));
    if (kind == "agent") return static_cast<bool>(parse_agent(value, Detail::kState));
    if (kind == "user") return static_cast<bool>(parse_user(value, Detail::kState));
    return static_cast<bool>(parse_resource(value, Detail::kState));
  };
  EXPECT_TRUE(fits(
      "client", R"({"id":"c","name":"C","scopes":["behalf.signals","behalf.evidence","behalf.decisions"]})"));
  EXPECT_TRUE(fits("agent", R"({"id":"a","name":"A","publisher":"P","scopes":["x","behalf.signals"]})"));
  EXPECT_TRUE(fits("resource", R"({"id":"r","scopes":[{"name":"behalfx"}]})"));
  EXPECT_FALSE(fits("client", R"({"id":"c","name":"C","scopes":["behalf.signal"]})"));
  EXPECT_FALSE(fits("client", R"({"id":"c","name":"C","auth_method":"none","scopes":["behalf.signals"]})"));
  EXPECT_FALSE(fits("agent", R"({"id":"a","name":"A","publisher":"P","scopes":["behalf."]})"));
  EXPECT_FALSE(fits("user", R"({"id":"u","entitlements":["behalf.signals"]})"));
  EXPECT_FALSE(fits("resource", R"({"id":"r","scopes":[{"name":"behalf.signals"}]})"));
  EXPECT_FALSE(fits("resource", R"({"id":"r","scopes":[{"name":"behalf.other"}]})"));
  EXPECT_FALSE(
      fits("resource",
           R"({"id":"r","scopes":[{"name":"x"}],"scope_map":[{"scope":"x","gives":["behalf.signals"]}]})"));
}

TEST(RegistryJson, redirect_uris_are_judged_at_registration) {
  const auto client_with = [](std::string_view uri) {
    json::Value value = parsed(kClient);
    value.set("redirect_uris", json::Value::Array{json::Value(uri)});
    return static_cast<bool>(parse_client(value, Detail::kState));
  };
  EXPECT_TRUE(client_with("https://c.example/cb"));
  EXPECT_TRUE(client_with("http://127.0.0.1/cb"));
  EXPECT_TRUE(client_with("com.example.app:/cb"));
  for (const char* uri : {"http://c.example/cb", "javascript:alert(1)", "https://c.example/cb#",
                          "https://u@c.example/", "myapp:/cb", "*"}) {
    EXPECT_FALSE(client_with(uri)) << uri;
  }
}

TEST(RegistryJson, no_more_than_a_thousand_items_in_a_list) {
  const auto user_with = [](int count) {
    json::Value::Array list;
    for (int i = 0; i < count; ++i) list.emplace_back("s" + std::to_string(i));
    json::Value value = parsed(R"({"id":"u"})");
    value.set("entitlements", std::move(list));
    return static_cast<bool>(parse_user(value, Detail::kState));
  };
  EXPECT_TRUE(user_with(1000));
  EXPECT_FALSE(user_with(1001));
}

}  // namespace
}  // namespace behalf
