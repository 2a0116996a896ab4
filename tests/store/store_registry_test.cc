// The registry's verbs: what is put is found again in every member, one namespace, epochs that outlive a
// deletion, and a view that shows what was committed and nothing else.
#include "store/store_contract.h"

namespace behalf::test {
namespace {

using store::ReadTransaction;
using store::Transaction;

class RegistryStore : public StoreContract {
 protected:
  std::shared_ptr<const User> user(const std::string& id) {
    return ask_reader([&](ReadTransaction& transaction) { return transaction.find_user(UserId(id)); });
  }
  bool put(const User& value) {
    bool done = false;
    run([&](Transaction& transaction) { done = transaction.put_user(value, kNow); });
    return done;
  }
  bool put(const Agent& value) {
    bool done = false;
    run([&](Transaction& transaction) { done = transaction.put_agent(value, kNow); });
    return done;
  }
  bool put(const Client& value) {
    bool done = false;
    run([&](Transaction& transaction) { done = transaction.put_client(value, kNow); });
    return done;
  }
  void put(const Resource& value) {
    run([&](Transaction& transaction) { transaction.put_resource(value, kNow); });
  }
  int64_t last_epoch(const std::string& id) {
    const auto ask = [&](ReadTransaction& transaction) { return transaction.last_epoch(id); };
    EXPECT_EQ(ask_reader(ask), ask_writer(ask));
    return ask_reader(ask);
  }
};
INSTANTIATE_TEST_SUITE_P(Store, RegistryStore, testing::Values(Kind::sqlite, Kind::postgres), name_of);

// Text with control characters is for the parser of documents to refuse; this is the worst that it lets pass.
const std::string kAwkward = "O'Brien \"q\" `b` \\ -- /* $1 ? %s ; DROP TABLE nodes; 👩 \xF4\x8F\xBF\xBD end";

#define SAME(member) EXPECT_EQ(found.member, wanted.member)

void expect_same_principal(const Principal& found, const Principal& wanted) {
  SAME(status);
  SAME(epoch);
  SAME(version);
}

json::Value some_keys() {
  return *json::parse(R"({"keys":[{"kty":"EC","crv":"P-256","kid":"k","alg":"ES256",)"
                      R"("x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",)"
                      R"("y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]})");
}

TEST_P(RegistryStore, AUserComesBackInEveryMember) {
  User wanted = make_user("User-1", "o'brien");
  wanted.display_name = kAwkward;
  wanted.password_hash = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaA";
  wanted.entitlements = ScopeSet{"a", "b:c/d"};
  wanted.status = Status::kSuspended;
  wanted.epoch = kMost;
  wanted.version = kMost - 1;
  ASSERT_TRUE(put(wanted));
  for (int round = 0; round < 2; ++round) {
    const auto find = [](ReadTransaction& transaction) { return transaction.find_user(UserId("User-1"s)); };
    for (const auto& each : {ask_reader(find), ask_writer(find), ask_writer(find)}) {
      ASSERT_NE(each, nullptr);
      const User& found = *each;
      expect_same_principal(found, wanted);
      SAME(id);
      SAME(username);
      SAME(display_name);
      SAME(password_hash);
      SAME(entitlements);
    }
    reopen();
  }
  wanted.entitlements.reset();
  wanted.display_name = "changed";
  ASSERT_TRUE(put(wanted)) << "putting it again replaces it";
  EXPECT_EQ(user("User-1")->display_name, "changed");
  EXPECT_EQ(user("User-1")->entitlements, std::nullopt) << "no entitlements is not an empty set of them";
  wanted.entitlements = ScopeSet{};
  ASSERT_TRUE(put(wanted));
  EXPECT_EQ(user("User-1")->entitlements, ScopeSet{});
}

TEST_P(RegistryStore, AnAgentComesBackInEveryMember) {
  Agent wanted = make_agent("agent:1");
  wanted.name = kAwkward;
  wanted.publisher = kAwkward + "p";
  wanted.owner = "owner@example.com";
  wanted.description = kAwkward + "d";
  wanted.capability_version = "2026-11";
  wanted.jwks = some_keys();
  wanted.scopes = {"x", "y"};
  wanted.clients = {.everyone = false, .names = {"c1", "c2"}};
  wanted.users = {.everyone = false, .names = {"u1"}};
  wanted.resources = {.everyone = false, .names = {"https://api.example/'q'"}};
  wanted.onward = {.to = {.everyone = true, .names = {}}, .depth = 3, .lifetime = Seconds{77}};
  wanted.reenter_after = {"agent:2"};
  wanted.access_token_lifetime = Seconds{123};
  wanted.refresh_lifetime = Seconds{4567};
  wanted.bearer_actor_tokens = true;
  wanted.parent = ClientId("runtime"s);
  wanted.epoch = kMost;
  wanted.version = kMost;
  ASSERT_TRUE(put(wanted));
  for (int round = 0; round < 2; ++round) {
    const auto each = store().registry().find_agent("agent:1");
    ASSERT_NE(each, nullptr);
    const Agent& found = *each;
    expect_same_principal(found, wanted);
    SAME(id);
    SAME(name);
    SAME(publisher);
    SAME(owner);
    SAME(description);
    SAME(capability_version);
    SAME(jwks);
    SAME(scopes);
    SAME(clients);
    SAME(users);
    SAME(resources);
    SAME(onward);
    SAME(reenter_after);
    SAME(access_token_lifetime);
    SAME(refresh_lifetime);
    SAME(bearer_actor_tokens);
    SAME(parent);
    reopen();
  }
}

TEST_P(RegistryStore, AClientComesBackInEveryMember) {
  Client wanted = make_client("client/1");
  wanted.name = kAwkward;
  wanted.auth_method = ClientAuthMethod::kClientSecretPost;
  wanted.secret_hash = "aGFzaA";
  wanted.previous_secret_hash = "b2xk";
  wanted.previous_secret_until = {kMost};
  wanted.redirect_uris = {"https://app.example/cb?x='1'", "com.example.app:/cb"};
  wanted.grant_types = {"authorization_code", "refresh_token"};
  wanted.scopes = {"x", "y"};
  wanted.resource = ResourceId("https://api.example/r"s);
  wanted.acts_as_service = true;
  wanted.introduces = {"a1", "a2"};
  wanted.may_act = *json::parse(R"({"sub":"a\"1","n":9223372036854775807})");
  wanted.require_requested_actor = true;
  wanted.require_pushed_authorization_requests = true;
  wanted.access_token_lifetime = Seconds{99};
  wanted.refresh_lifetime = Seconds{98765};
  wanted.epoch = kMost;
  ASSERT_TRUE(put(wanted));
  for (int round = 0; round < 2; ++round) {
    const auto each = store().registry().find_client("client/1");
    ASSERT_NE(each, nullptr);
    const Client& found = *each;
    expect_same_principal(found, wanted);
    SAME(id);
    SAME(name);
    SAME(auth_method);
    SAME(secret_hash);
    SAME(previous_secret_hash);
    SAME(previous_secret_until);
    SAME(redirect_uris);
    SAME(grant_types);
    SAME(scopes);
    SAME(resource);
    SAME(acts_as_service);
    SAME(introduces);
    SAME(may_act);
    SAME(require_requested_actor);
    SAME(require_pushed_authorization_requests);
    SAME(access_token_lifetime);
    SAME(refresh_lifetime);
    reopen();
  }
  Client keyed = make_client("keyed");
  keyed.auth_method = ClientAuthMethod::kPrivateKeyJwt;
  keyed.jwks = some_keys();
  keyed.agent = AgentId("agent:1"s);
  ASSERT_TRUE(put(keyed));
  reopen();
  const auto found = store().registry().find_client("keyed");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->jwks, keyed.jwks);
  EXPECT_EQ(found->agent, keyed.agent);
  EXPECT_EQ(found->auth_method, keyed.auth_method);
}

TEST_P(RegistryStore, AResourceComesBackInEveryMemberAndByItsAliases) {
  Resource wanted = make_resource("https://api.example/R");
  wanted.version = kMost;
  wanted.name = kAwkward;
  wanted.aliases = {"https://API.example:443/old", "api://guid"};
  wanted.scopes = {{.name = "read", .title = kAwkward, .description = kAwkward}};
  wanted.scope_map = {{.scope = "read", .gives = {"m.read", "m.send"}}};
  wanted.signing_alg = "PS256";
  wanted.access_token_lifetime = Seconds{321};
  wanted.emit_aut = true;
  wanted.required_acr = "urn:acr:2";
  put(wanted);
  for (int round = 0; round < 2; ++round) {
    const auto each = store().registry().find_resource("https://api.example/R");
    ASSERT_NE(each, nullptr);
    const Resource& found = *each;
    SAME(id);
    SAME(version);
    SAME(name);
    SAME(aliases);
    SAME(scopes);
    SAME(scope_map);
    SAME(signing_alg);
    SAME(access_token_lifetime);
    SAME(emit_aut);
    SAME(required_acr);
    EXPECT_NE(store().registry().find_resource("https://api.example/old"), nullptr)
        << "an alias in canonical form";
    EXPECT_EQ(store().registry().find_resource("https://api.example/r"), nullptr)
        << "paths are case-sensitive";
    reopen();
  }
  const auto remove = [](Transaction& transaction) {
    transaction.remove_resource(ResourceId("https://api.example/R"s), kNow);
  };
  run(remove);
  run(remove);
  EXPECT_EQ(store().registry().find_resource("https://api.example/R"), nullptr);
  EXPECT_EQ(store().registry().find_resource("https://api.example/old"), nullptr);
  put(wanted);
  EXPECT_NE(store().registry().find_resource("https://api.example/old"), nullptr);
}

TEST_P(RegistryStore, IdsThatDifferInCaseAreDifferent) {
  ASSERT_TRUE(put(make_user("alice", "alice")));
  ASSERT_TRUE(put(make_user("Alice", "Alice")));
  ASSERT_TRUE(put(make_agent("ALICE")));
  ASSERT_TRUE(put(make_client("aLICE")));
  EXPECT_EQ(user("alice")->display_name, "Person alice");
  EXPECT_EQ(user("Alice")->display_name, "Person Alice");
  EXPECT_EQ(user("aliCe"), nullptr);
  std::vector<std::string> listed;
  for (const auto& each : ask_reader([](ReadTransaction& transaction) { return transaction.list_users(); })) {
    listed.push_back(each->id.text());
  }
  EXPECT_EQ(listed, (std::vector<std::string>{"Alice", "alice"})) << "sorted byte by byte on both databases";
}

TEST_P(RegistryStore, NoTwoKindsOfPrincipalShareAnId) {  // D-03
  ASSERT_TRUE(put(make_user("u", "u")));
  ASSERT_TRUE(put(make_agent("a")));
  ASSERT_TRUE(put(make_client("c")));
  EXPECT_FALSE(put(make_agent("u")));
  EXPECT_FALSE(put(make_client("u")));
  EXPECT_FALSE(put(make_user("a", "other")));
  EXPECT_FALSE(put(make_client("a")));
  EXPECT_FALSE(put(make_user("c", "other")));
  EXPECT_FALSE(put(make_agent("c")));
  for (int round = 0; round < 2; ++round) {
    EXPECT_NE(user("u"), nullptr);
    EXPECT_EQ(user("a"), nullptr);
    EXPECT_EQ(user("c"), nullptr);
    EXPECT_EQ(store().registry().find_agent("u"), nullptr);
    EXPECT_EQ(store().registry().find_agent("c"), nullptr);
    EXPECT_EQ(store().registry().find_client("u"), nullptr);
    EXPECT_EQ(store().registry().find_client("a"), nullptr);
    reopen();
  }
}

TEST_P(RegistryStore, ADeletedIdIsNotFoundKeepsItsKindAndItsEpoch) {
  User person = make_user("u", "name");
  Agent agent = make_agent("a");
  Client client = make_client("c");
  EXPECT_EQ(last_epoch("u"), 0) << "never was a principal";
  ASSERT_TRUE(put(person) && put(agent) && put(client));
  person.status = agent.status = client.status = Status::kDeleted;
  person.epoch = 7;
  agent.epoch = 8;
  client.epoch = 9;
  ASSERT_TRUE(put(person) && put(agent) && put(client));
  for (int round = 0; round < 2; ++round) {
    const auto nothing_is_found = [](ReadTransaction& transaction) {
      return transaction.find_user(UserId("u"s)) == nullptr &&
             transaction.find_user_by_username("name") == nullptr &&
             transaction.find_agent(AgentId("a"s)) == nullptr &&
             transaction.find_client(ClientId("c"s)) == nullptr && transaction.list_users().empty();
    };
    EXPECT_TRUE(ask_reader(nothing_is_found));
    EXPECT_TRUE(ask_writer(nothing_is_found));
    EXPECT_TRUE(store().registry().agents().empty());
    EXPECT_TRUE(store().registry().clients().empty());
    EXPECT_EQ(last_epoch("u"), 7);
    EXPECT_EQ(last_epoch("a"), 8);
    EXPECT_EQ(last_epoch("c"), 9);
    EXPECT_EQ(store().registry().last_epoch("a"), 8);
    EXPECT_EQ(store().registry().last_epoch("c"), 9);
    EXPECT_FALSE(put(make_agent("u"))) << "another kind does not inherit the id of what was deleted";
    reopen();
  }
  person.status = Status::kActive;
  ASSERT_TRUE(put(person));
  EXPECT_NE(user("u"), nullptr);
}

TEST_P(RegistryStore, AUsernameBelongsToOnePersonAtATime) {
  ASSERT_TRUE(put(make_user("u1", "name")));
  EXPECT_FALSE(put(make_user("u2", "name")));
  EXPECT_EQ(user("u2"), nullptr);
  EXPECT_TRUE(put(make_user("u2", "Name"))) << "compared byte by byte";
  const auto owner = [&](const std::string& username) {
    const auto ask = [&](ReadTransaction& transaction) {
      const auto found = transaction.find_user_by_username(username);
      return found == nullptr ? std::string{} : found->id.text();
    };
    EXPECT_EQ(ask_reader(ask), ask_writer(ask));
    return ask_reader(ask);
  };
  EXPECT_EQ(owner("name"), "u1");
  EXPECT_EQ(owner("Name"), "u2");
  EXPECT_EQ(owner("NAME"), "");
  EXPECT_TRUE(put(make_user("u1", "renamed")));
  EXPECT_EQ(owner("name"), "");
  EXPECT_EQ(owner("renamed"), "u1");
  User gone = make_user("u1", "renamed");
  gone.status = Status::kDeleted;
  ASSERT_TRUE(put(gone));
  EXPECT_TRUE(put(make_user("u3", "renamed"))) << "a deletion frees the name";
  EXPECT_EQ(owner("renamed"), "u3");
}

TEST_P(RegistryStore, TheViewShowsACommitAfterItAndARollbackNever) {
  ASSERT_TRUE(put(make_agent("kept")));
  put(make_resource("https://kept.example/"));
  const auto change_everything = [&](Transaction& transaction, bool& seen_inside) {
    Agent changed = make_agent("kept");
    changed.status = Status::kSuspended;
    ASSERT_TRUE(transaction.put_agent(changed, kNow));
    ASSERT_TRUE(transaction.put_agent(make_agent("new"), kNow));
    ASSERT_TRUE(transaction.put_client(make_client("new-client"), kNow));
    ASSERT_TRUE(transaction.put_user(make_user("new-user", "new"), kNow));
    transaction.remove_resource(ResourceId("https://kept.example/"s), kNow);
    transaction.put_resource(make_resource("https://new.example/"), kNow);
    seen_inside = !transaction.find_agent(AgentId("kept"s))->is_active() &&
                  transaction.find_agent(AgentId("new"s)) != nullptr &&
                  transaction.find_client(ClientId("new-client"s)) != nullptr &&
                  transaction.find_user(UserId("new-user"s)) != nullptr &&
                  transaction.find_resource(ResourceId("https://kept.example/"s)) == nullptr &&
                  transaction.find_resource(ResourceId("https://new.example/"s)) != nullptr &&
                  store().registry().find_agent("new") == nullptr &&
                  store().registry().find_agent("kept")->is_active();
  };
  bool seen_inside = false;
  EXPECT_THROW(run([&](Transaction& transaction) {
                 change_everything(transaction, seen_inside);
                 throw std::runtime_error("a fault");
               }),
               std::runtime_error);
  EXPECT_TRUE(seen_inside) << "a work sees what it did, nobody else does";
  for (int round = 0; round < 2; ++round) {
    EXPECT_TRUE(store().registry().find_agent("kept")->is_active());
    EXPECT_EQ(store().registry().find_agent("new"), nullptr);
    EXPECT_EQ(store().registry().find_client("new-client"), nullptr);
    EXPECT_EQ(user("new-user"), nullptr);
    EXPECT_NE(store().registry().find_resource("https://kept.example/"), nullptr);
    EXPECT_EQ(store().registry().find_resource("https://new.example/"), nullptr);
    run([](Transaction&) {});  // another commit carries nothing of it along
  }
  run([&](Transaction& transaction) { change_everything(transaction, seen_inside); });
  for (int round = 0; round < 2; ++round) {
    EXPECT_FALSE(store().registry().find_agent("kept")->is_active());
    EXPECT_NE(store().registry().find_agent("new"), nullptr);
    EXPECT_NE(store().registry().find_client("new-client"), nullptr);
    EXPECT_NE(user("new-user"), nullptr);
    EXPECT_EQ(store().registry().find_resource("https://kept.example/"), nullptr);
    EXPECT_NE(store().registry().find_resource("https://new.example/"), nullptr);
    reopen();
  }
}

}  // namespace
}  // namespace behalf::test
