// Grants and nodes: nothing of them is lost, they end once, and an end reaches exactly what descends from it.
#include <algorithm>

#include "store/store_contract.h"

namespace behalf::test {
namespace {

using store::GrantFilter;
using store::ReadTransaction;
using store::Transaction;

class LineageStore : public StoreContract {
 protected:
  std::shared_ptr<const Grant> grant(const std::string& id) {
    return ask_reader([&](ReadTransaction& transaction) { return transaction.find_grant(GrantId(id)); });
  }
  std::shared_ptr<const Grant> grant_as_decided_on(const std::string& id) {
    return ask_writer([&](ReadTransaction& transaction) { return transaction.find_grant(GrantId(id)); });
  }
  std::vector<Node> end_subtree(const std::string& id, UnixTime now = kNow,
                                std::string_view cause = "cause") {
    std::vector<Node> ended;
    run([&](Transaction& transaction) { ended = transaction.end_subtree(NodeId(id), now, cause); });
    return ended;
  }
};
INSTANTIATE_TEST_SUITE_P(Store, LineageStore, testing::Values(Kind::sqlite, Kind::postgres), name_of);

#define SAME(member) EXPECT_EQ(found.member, wanted.member)

void expect_same(const Grant& found, const Grant& wanted) {
  SAME(id);
  SAME(user);
  SAME(user_epoch);
  SAME(client);
  SAME(client_epoch);
  SAME(agent);
  SAME(agent_epoch);
  SAME(scopes);
  SAME(resources);
  SAME(redirect_host);
  SAME(offline);
  SAME(onward_depth);
  SAME(agent_owner);
  SAME(capability_version);
  SAME(shown);
  SAME(created_at);
  SAME(expires_at);
  SAME(last_used_at);
  SAME(ended_at);
  SAME(ended_cause);
}

void expect_same(const Node& found, const Node& wanted) {
  SAME(id);
  SAME(kind);
  SAME(grant);
  SAME(root);
  SAME(parent);
  SAME(secret_hash);
  SAME(subject);
  SAME(client);
  SAME(client_epoch);
  SAME(via);
  SAME(chain);
  SAME(depth_left);
  SAME(scope);
  SAME(resource);
  SAME(resources);
  SAME(offline);
  SAME(hides_act);
  SAME(sign_in);
  SAME(may_act);
  SAME(is_actor_token);
  EXPECT_EQ(found.code.has_value(), wanted.code.has_value());
  if (found.code && wanted.code) {
    SAME(code->redirect_uri);
    SAME(code->code_challenge);
  }
  SAME(issued_at);
  SAME(expires_at);
  SAME(spent_at);
  SAME(ended_at);
  SAME(ended_cause);
  SAME(successor);
}

TEST_P(LineageStore, AGrantComesBackInEveryMember) {
  Grant wanted = make_grant("g", kHostile, kHostile + "c", kHostile + "a");
  wanted.user_epoch = kMost;
  wanted.client_epoch = kMost - 1;
  wanted.agent_epoch = kMost - 2;
  wanted.scopes = {"s1", "s2"};
  wanted.resources = {ResourceId(kHostile), ResourceId("https://api.example/"s)};
  wanted.redirect_host = kHostile;
  wanted.offline = true;
  wanted.onward_depth = 4;
  wanted.agent_owner = kHostile;
  wanted.capability_version = kHostile;
  wanted.shown = json::Value(json::Value::Array{json::Value(kHostile)});
  wanted.created_at = {-1};
  wanted.expires_at = {kMost};
  run([&](Transaction& transaction) { transaction.insert_grant(wanted); });
  Grant bare = make_grant("bare", "u", "c", "");
  run([&](Transaction& transaction) { transaction.insert_grant(bare); });
  for (int round = 0; round < 2; ++round) {
    for (const auto& found : {grant("g"), grant_as_decided_on("g"), grant_as_decided_on("g")}) {
      ASSERT_TRUE(found);
      expect_same(*found, wanted);
    }
    ASSERT_TRUE(grant("bare"));
    expect_same(*grant("bare"), bare);
    EXPECT_EQ(grant("G"), nullptr);
    EXPECT_EQ(grant_as_decided_on("G"), nullptr);
    reopen();
  }
  EXPECT_THROW(run([&](Transaction& transaction) { transaction.insert_grant(bare); }), std::runtime_error)
      << "an id is given once";
}

TEST_P(LineageStore, AGrantEndsOnce) {
  run([](Transaction& transaction) { transaction.insert_grant(make_grant("g")); });
  const auto end = [&](const std::string& id, UnixTime now, std::string_view cause) {
    bool first = false;
    run([&](Transaction& transaction) { first = transaction.end_grant(GrantId(id), now, cause); });
    return first;
  };
  EXPECT_FALSE(end("unknown", kNow, "x"));
  EXPECT_EQ(grant_as_decided_on("g")->ended_at, std::nullopt);
  EXPECT_TRUE(end("g", kNow, kHostile));
  EXPECT_FALSE(end("g", kNow + Seconds{1}, "second"));
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(grant("g")->ended_at, kNow) << "the second call changes nothing";
    EXPECT_EQ(grant("g")->ended_cause, kHostile);
    EXPECT_EQ(grant_as_decided_on("g")->ended_at, kNow);
    reopen();
  }
}

TEST_P(LineageStore, AnEndThatIsRolledBackDidNotHappen) {
  run([](Transaction& transaction) {
    transaction.insert_grant(make_grant("g"));
    transaction.insert_node(make_node("n", NodeKind::kAccessToken, {}, {}, "g"));
  });
  EXPECT_THROW(run([](Transaction& transaction) {
                 EXPECT_TRUE(transaction.end_grant(GrantId("g"s), kNow, "x"));
                 EXPECT_EQ(transaction.end_subtree(NodeId("n"s), kNow, "x").size(), 1U);
                 EXPECT_TRUE(transaction.find_grant(GrantId("g"s))->ended_at);
                 EXPECT_TRUE(transaction.find_node(NodeId("n"s))->ended_at);
                 throw std::runtime_error("a fault");
               }),
               std::runtime_error);
  EXPECT_FALSE(grant_as_decided_on("g")->ended_at);
  EXPECT_FALSE(is_ended("n"));
}

TEST_P(LineageStore, AUseIsNotedAtMostOnceAMinute) {
  run([](Transaction& transaction) { transaction.insert_grant(make_grant("g")); });
  const auto touch = [&](UnixTime now) {
    run([&](Transaction& transaction) {
      transaction.touch_grant(*transaction.find_grant(GrantId("g"s)), now);
    });
    EXPECT_EQ(grant("g")->last_used_at, grant_as_decided_on("g")->last_used_at);
    return grant("g")->last_used_at;
  };
  EXPECT_EQ(grant("g")->last_used_at, std::nullopt);
  EXPECT_EQ(touch(kNow), kNow);
  EXPECT_EQ(touch(kNow + Seconds{1}), kNow);
  EXPECT_EQ(touch({kNow.milliseconds + 59'999}), kNow);
  reopen();
  EXPECT_EQ(touch({kNow.milliseconds + 59'999}), kNow) << "also after a restart";
  EXPECT_EQ(touch(kNow + Seconds{60}), kNow + Seconds{60});
  EXPECT_EQ(touch(kNow + Seconds{61}), kNow + Seconds{60});
}

TEST_P(LineageStore, GrantsAreListedByEveryFilterNewestFirst) {
  run([](Transaction& transaction) {
    transaction.insert_grant(make_grant("g1", "u1", "c1", "a1"));
    transaction.insert_grant(make_grant("g2", "u1", "c2", "a2"));
    transaction.insert_grant(make_grant("g3", "u2", "c1", "a1"));
    transaction.insert_grant(make_grant("g4", "u2", "c2", ""));
    transaction.insert_grant(make_grant("G5", "U1", "C1", "A1"));
    EXPECT_TRUE(transaction.end_grant(GrantId("g3"s), kNow, "x"));
  });
  const auto list = [&](const GrantFilter& filter) {
    const auto ask = [&](ReadTransaction& transaction) {
      Ids ids;
      for (const Grant& each : transaction.list_grants(filter)) ids.push_back(each.id.text());
      return ids;
    };
    EXPECT_EQ(ask_reader(ask), ask_writer(ask));
    return ask_reader(ask);
  };
  EXPECT_EQ(list({}), (Ids{"g4", "g3", "g2", "g1", "G5"}));
  EXPECT_EQ(list({.live_at = kNow}), (Ids{"g4", "g2", "g1", "G5"}));
  EXPECT_EQ(list({.limit = 2}), (Ids{"g4", "g3"}));
  EXPECT_EQ(list({.live_at = kNow, .limit = 2}), (Ids{"g4", "g2"})) << "ended grants do not use up the limit";
  EXPECT_EQ(list({.user = "u1"}), (Ids{"g2", "g1"}));
  EXPECT_EQ(list({.client = "c1"}), (Ids{"g3", "g1"}));
  EXPECT_EQ(list({.agent = "a1"}), (Ids{"g3", "g1"}));
  EXPECT_EQ(list({.agent = "a1", .live_at = kNow}), (Ids{"g1"}));
  EXPECT_EQ(list({.user = "u1", .client = "c2"}), (Ids{"g2"}));
  EXPECT_EQ(list({.user = "u1", .client = "c2", .agent = "a1"}), Ids{});
  EXPECT_EQ(list({.client = "c1", .agent = "a1", .limit = 1}), (Ids{"g3"}));
  EXPECT_EQ(list({.user = "' OR 1=1 --"}), Ids{});
}

TEST_P(LineageStore, AGrantLivesUntilItIsEndedOrItsTimeIsOver) {
  run([](Transaction& transaction) {
    for (const auto& [id, seconds] : {std::pair{"g1", 60}, {"g2", 0}, {"g3", 1}, {"g4", 60}}) {
      Grant grant = make_grant(id, "u1", "c1", "a1");
      grant.expires_at = kNow + Seconds{seconds};
      transaction.insert_grant(grant);
    }
    EXPECT_TRUE(transaction.end_grant(GrantId("g4"s), kNow, "x"));
  });
  const auto list = [&](const GrantFilter& filter) {
    const auto ask = [&](ReadTransaction& transaction) {
      Ids ids;
      for (const Grant& each : transaction.list_grants(filter)) ids.push_back(each.id.text());
      return ids;
    };
    EXPECT_EQ(ask_reader(ask), ask_writer(ask));
    return ask_reader(ask);
  };
  const UnixTime later = kNow + Seconds{1};
  // By everybody's and by each of the columns that lead.
  for (const GrantFilter& whose :
       {GrantFilter{}, GrantFilter{.user = "u1"}, GrantFilter{.client = "c1"}, GrantFilter{.agent = "a1"}}) {
    const auto at = [&](std::optional<UnixTime> live, std::optional<UnixTime> over, size_t limit = 200) {
      GrantFilter filter = whose;
      filter.live_at = live;
      filter.over_at = over;
      filter.limit = limit;
      return list(filter);
    };
    EXPECT_EQ(at(kNow, {}), (Ids{"g3", "g1"}));
    EXPECT_EQ(at(later, {}), (Ids{"g1"}));
    EXPECT_EQ(at(kNow, {}, 1), (Ids{"g3"}));
    EXPECT_EQ(at({}, kNow), (Ids{"g4", "g2"}));
    EXPECT_EQ(at({}, later), (Ids{"g4", "g3", "g2"}));
    EXPECT_EQ(at({}, later, 1), (Ids{"g4"})) << "what lives does not use up the limit";
    EXPECT_EQ(at({}, {}), (Ids{"g4", "g3", "g2", "g1"}));
  }
}

TEST_P(LineageStore, ANodeComesBackInEveryMember) {
  Node wanted = make_node("n", NodeKind::kAccessToken, kHostile, kHostile + "p", kHostile + "g");
  wanted.subject = {.kind = SubjectKind::kAgent, .id = kHostile, .epoch = kMost};
  wanted.client = ClientId(kHostile);
  wanted.client_epoch = kMost;
  wanted.via = {{.id = ClientId(kHostile), .epoch = kMost}, {.id = ClientId("c2"s), .epoch = 2}};
  wanted.chain.actors = {{.kind = ActorKind::kService, .id = kHostile, .epoch = kMost},
                         {.kind = ActorKind::kAgent, .id = "a", .epoch = 2, .instance = kHostile}};
  wanted.depth_left = INT32_MAX;
  wanted.scope = {"s1", "s2"};
  wanted.resource = ResourceId(kHostile);
  wanted.resources = {ResourceId(kHostile), ResourceId("r2"s)};
  wanted.offline = true;
  wanted.sign_in = SignIn{.auth_time = {kMost}, .acr = kHostile, .amr = "pwd otp"};
  wanted.may_act = *json::parse(R"({"sub":"x","deep":{"list":[1,true,null,"\"\\"]}})");
  wanted.is_actor_token = true;
  wanted.hides_act = true;
  wanted.issued_at = {-1};
  wanted.expires_at = {kMost};
  Node code = make_code("code");
  code.code = CodeBinding{.redirect_uri = kHostile, .code_challenge = kHostile};
  code.subject.kind = SubjectKind::kClient;
  const Node refresh = make_refresh("refresh");
  run([&](Transaction& transaction) {
    for (const Node& each : {wanted, code, refresh}) transaction.insert_node(each);
  });
  for (int round = 0; round < 2; ++round) {
    for (const Node* each : std::initializer_list<const Node*>{&wanted, &code, &refresh}) {
      const auto find = [&](ReadTransaction& transaction) { return transaction.find_node(each->id); };
      // The second of the writer's answers comes from memory where there is one.
      for (const auto& found : {ask_reader(find), ask_writer(find), ask_writer(find)}) {
        ASSERT_NE(found, nullptr);
        expect_same(*found, *each);
      }
    }
    EXPECT_EQ(node("N"), nullptr);
    reopen();
  }
  EXPECT_THROW(run([&](Transaction& transaction) { transaction.insert_node(code); }), std::runtime_error);
}

TEST_P(LineageStore, ANodeThatIsRolledBackIsNotFound) {
  EXPECT_THROW(run([](Transaction& transaction) {
                 transaction.insert_node(make_node("n"));
                 EXPECT_NE(transaction.find_node(NodeId("n"s)), nullptr);
                 throw std::runtime_error("a fault");
               }),
               std::runtime_error);
  const auto find = [](ReadTransaction& transaction) { return transaction.find_node(NodeId("n"s)); };
  EXPECT_EQ(ask_writer(find), nullptr);
  EXPECT_EQ(ask_reader(find), nullptr);
}

// code 1 ── access 2 ── exchanged 4 ── exchanged 6
//       └── refresh 3 ── access 5          and lineage 8 ── 9 beside it
TEST_P(LineageStore, AnEndReachesTheSubtreeAndNothingElse) {
  run([](Transaction& transaction) {
    transaction.insert_node(make_node("1", NodeKind::kCode, "1"));
    transaction.insert_node(make_node("2", NodeKind::kAccessToken, "1", "1"));
    transaction.insert_node(make_node("3", NodeKind::kRefreshToken, "1", "1"));
    transaction.insert_node(make_node("4", NodeKind::kAccessToken, "1", "2"));
    transaction.insert_node(make_node("5", NodeKind::kAccessToken, "1", "3"));
    transaction.insert_node(make_node("6", NodeKind::kAccessToken, "1", "4"));
    transaction.insert_node(make_node("8", NodeKind::kAccessToken, "8"));
    transaction.insert_node(make_node("9", NodeKind::kAccessToken, "8", "8"));
  });
  EXPECT_TRUE(end_subtree("unknown").empty());
  // Some known to the writer's memory, some not.
  EXPECT_FALSE(is_ended("4"));
  const std::vector<Node> ended = end_subtree("2", kNow, kHostile);
  EXPECT_EQ(ids_of(ended), (Ids{"2", "4", "6"}));
  for (const Node& each : ended) {
    EXPECT_EQ(each.ended_at, kNow);
    EXPECT_EQ(each.ended_cause, kHostile);
  }
  EXPECT_TRUE(end_subtree("2", kNow + Seconds{5}, "again").empty()) << "what ended is not ended again";
  for (int round = 0; round < 2; ++round) {
    for (const char* id : {"2", "4", "6"}) EXPECT_TRUE(is_ended(id)) << id;
    for (const char* id : {"1", "3", "5", "8", "9"}) EXPECT_FALSE(is_ended(id)) << id;
    EXPECT_EQ(node("6")->ended_at, kNow);
    EXPECT_EQ(node("6")->ended_cause, kHostile);
    reopen();
  }
  EXPECT_EQ(ids_of(end_subtree("1", kNow + Seconds{9}, "root")), (Ids{"1", "3", "5"}));
  EXPECT_EQ(node("4")->ended_cause, kHostile) << "the first cause stays";
  for (const char* id : {"8", "9"}) EXPECT_FALSE(is_ended(id)) << id;
}

// A code lives a minute and is purged a day later; what came of it lives for weeks.
TEST_P(LineageStore, AnEndOfALineageDoesNotNeedItsRoot) {
  run([](Transaction& transaction) {
    Node root = make_node("1", NodeKind::kCode, "1");
    root.expires_at = kNow;
    transaction.insert_node(root);
    transaction.insert_node(make_node("2", NodeKind::kRefreshToken, "1", "1"));
    transaction.insert_node(make_node("3", NodeKind::kAccessToken, "1", "2"));
    transaction.insert_node(make_node("8", NodeKind::kAccessToken, "8"));
  });
  run([](Transaction& transaction) { EXPECT_EQ(transaction.purge(kNow + Seconds{1}, 10), 1U); });
  reopen();
  ASSERT_EQ(node("1"), nullptr);
  EXPECT_EQ(ids_of(end_subtree("1", kNow, "root")), (Ids{"2", "3"}));
  EXPECT_FALSE(is_ended("8"));
}

TEST_P(LineageStore, AnEndSeesWhatTheSameWorkInserted) {
  std::vector<Node> ended;
  run([&](Transaction& transaction) {
    transaction.insert_node(make_node("1"));
    transaction.insert_node(make_node("2", NodeKind::kAccessToken, "1", "1"));
    ended = transaction.end_subtree(NodeId("1"s), kNow, "x");
    EXPECT_TRUE(transaction.find_node(NodeId("2"s))->ended_at);
  });
  EXPECT_EQ(ids_of(ended), (Ids{"1", "2"}));
  EXPECT_TRUE(is_ended("2"));
}

TEST_P(LineageStore, AnEndReachesTheBottomOfADeepAndTheWidthOfAWideTree) {
  constexpr int kDepth = 400;
  const auto id = [](int i) { return std::to_string(10000 + i); };
  run([&](Transaction& transaction) {
    for (int i = 0; i < kDepth; ++i) {
      transaction.insert_node(make_node(id(i), NodeKind::kAccessToken, id(0), i == 0 ? "" : id(i - 1)));
    }
    for (int i = 0; i < kDepth; ++i)
      transaction.insert_node(make_node(id(kDepth + i), NodeKind::kAccessToken, id(0), id(0)));
  });
  const std::vector<Node> below = end_subtree(id(100));
  ASSERT_EQ(below.size(), size_t{kDepth - 100});
  EXPECT_TRUE(
      std::is_sorted(below.begin(), below.end(), [](const Node& a, const Node& b) { return a.id < b.id; }));
  EXPECT_EQ(below.front().id.text(), id(100));
  EXPECT_TRUE(is_ended(id(kDepth - 1)));
  EXPECT_FALSE(is_ended(id(99)));
  EXPECT_EQ(end_subtree(id(0)).size(), size_t{100 + kDepth});
  EXPECT_TRUE(is_ended(id(2 * kDepth - 1)));
}

TEST_P(LineageStore, TheNodesOfAGrantEndTogether) {
  Node old = make_node("4", NodeKind::kAccessToken, "1", "1", "g");
  old.expires_at = kNow;
  run([&](Transaction& transaction) {
    transaction.insert_node(make_node("1", NodeKind::kRefreshToken, "1", "", "g"));
    transaction.insert_node(make_node("2", NodeKind::kAccessToken, "1", "1", "g"));
    transaction.insert_node(make_node("3", NodeKind::kAccessToken, "3", "", "g"));
    transaction.insert_node(old);
    transaction.insert_node(make_node("5", NodeKind::kAccessToken, "5", "", "G"));
    transaction.insert_node(make_node("6", NodeKind::kAccessToken, "6"));
  });
  EXPECT_EQ(ids_of(end_subtree("3", kNow, "before")), (Ids{"3"}));
  const auto end = [&](const std::string& grant, std::string_view cause) {
    std::vector<Node> ended;
    run([&](Transaction& transaction) { ended = transaction.end_grant_nodes(GrantId(grant), kNow, cause); });
    return ids_of(ended);
  };
  EXPECT_EQ(end("g", "grant"), (Ids{"1", "2"})) << "neither what ended nor what expired before";
  EXPECT_EQ(end("g", "again"), Ids{});
  EXPECT_EQ(end("", "no grant"), Ids{}) << "what has no grant has no grant in common";
  for (int round = 0; round < 2; ++round) {
    EXPECT_TRUE(is_ended("1") && is_ended("2") && is_ended("3"));
    EXPECT_EQ(node("1")->ended_cause, "grant");
    EXPECT_EQ(node("3")->ended_cause, "before");
    EXPECT_FALSE(is_ended("5") || is_ended("6"));
    reopen();
  }
}

TEST_P(LineageStore, ALineageAndAGrantListTheirNodesInOrder) {
  run([](Transaction& transaction) {
    transaction.insert_node(make_node("3", NodeKind::kAccessToken, "1", "2", "g"));
    transaction.insert_node(make_node("2", NodeKind::kAccessToken, "1", "1", "g"));
    transaction.insert_node(make_node("1", NodeKind::kCode, "1", "", "g"));
    transaction.insert_node(make_node("4", NodeKind::kCode, "4", "", "g"));
    transaction.insert_node(make_node("5", NodeKind::kAccessToken, "5"));
  });
  const auto lineage = [](const std::string& root, size_t limit) {
    return
        [=](ReadTransaction& transaction) { return ids_of(transaction.list_lineage(NodeId(root), limit)); };
  };
  const auto of_grant = [](const std::string& grant, size_t limit) {
    return [=](ReadTransaction& transaction) {
      return ids_of(transaction.list_grant_nodes(GrantId(grant), limit));
    };
  };
  EXPECT_EQ(ask_reader(lineage("1", 10)), (Ids{"1", "2", "3"})) << "parents before children";
  EXPECT_EQ(ask_writer(lineage("1", 10)), (Ids{"1", "2", "3"}));
  EXPECT_EQ(ask_reader(lineage("1", 2)), (Ids{"1", "2"})) << "at most `limit`";
  EXPECT_EQ(ask_reader(lineage("5", 10)), (Ids{"5"}));
  EXPECT_EQ(ask_reader(lineage("unknown", 10)), Ids{});
  EXPECT_EQ(ask_reader(of_grant("g", 10)), (Ids{"1", "2", "3", "4"}));
  EXPECT_EQ(ask_reader(of_grant("g", 2)), (Ids{"1", "2"}));
  EXPECT_EQ(ask_reader(of_grant("", 10)), Ids{});
}

// The indexes of the lineage are searched run by run (docs/decisions/0010): an end reaches all of them, also
// over runs of which nothing is left, and a list is in order whatever run a node is in.
TEST_P(LineageStore, AnEndReachesEveryRunOfTheLog) {
  const auto later = [&] {
    run([](Transaction& transaction) {
      for (int i = 0; i < 600; ++i) transaction.append_audit(make_record("e"), kNow);
    });
  };
  const auto insert = [&](Node node) {
    run([&](Transaction& transaction) { transaction.insert_node(node); });
  };
  Node root = make_node("50", NodeKind::kCode, "50", "", "g");
  root.expires_at = kNow;
  later();
  run([&](Transaction& transaction) {
    transaction.insert_grant(make_grant("g", "u", "c", "a"));
    transaction.insert_node(root);
  });
  insert(make_node("40", NodeKind::kAccessToken, "50", "50", "g"));
  later();
  Node gone = make_node("60", NodeKind::kAccessToken, "60", "", "g");
  gone.expires_at = kNow;
  insert(gone);
  later();
  insert(make_node("30", NodeKind::kAccessToken, "50", "40", "g"));
  insert(make_node("99", NodeKind::kAccessToken, "99", "", "other"));
  later();
  insert(make_node("20", NodeKind::kAccessToken, "50", "30", "g"));
  insert(make_node("21", NodeKind::kAccessToken, "50", "50", "g"));
  run([](Transaction& transaction) { EXPECT_EQ(transaction.purge(kNow + Seconds{1}, 10), 2U); });
  reopen();
  EXPECT_EQ(ask_reader([](ReadTransaction& t) { return ids_of(t.list_lineage(NodeId("50"s), 10)); }),
            (Ids{"20", "21", "30", "40"}));
  EXPECT_EQ(ask_reader([](ReadTransaction& t) { return ids_of(t.list_grant_nodes(GrantId("g"s), 3)); }),
            (Ids{"20", "21", "30"}));
  EXPECT_EQ(ids_of(end_subtree("30", kNow, "hop")), (Ids{"20", "30"}));
  EXPECT_EQ(ids_of(end_subtree("50", kNow, "root")), (Ids{"21", "40"}));
  later();
  insert(make_node("10", NodeKind::kRefreshToken, "10", "", "g"));
  std::vector<Node> ended;
  run([&](Transaction& transaction) { ended = transaction.end_grant_nodes(GrantId("g"s), kNow, "grant"); });
  EXPECT_EQ(ids_of(ended), (Ids{"10"}));
  EXPECT_FALSE(is_ended("99"));
}

TEST_P(LineageStore, AStoreOfTheSecondSchemaIsMigratedWithItsLineages) {
  run([](Transaction& transaction) {
    transaction.insert_grant(make_grant("g", "u", "c", "a"));
    transaction.insert_node(make_node("1", NodeKind::kCode, "1", "", "g"));
    transaction.insert_node(make_node("2", NodeKind::kAccessToken, "1", "1", "g"));
    for (int i = 0; i < 1200; ++i) transaction.append_audit(make_record("e"), kNow);
  });
  close();
  run_sql(std::string(kBackToSecondSchema) + "UPDATE schema_version SET version = 2");
  reopen();
  run([](Transaction& transaction) {
    transaction.insert_node(make_node("3", NodeKind::kAccessToken, "1", "2", "g"));
    transaction.insert_node(make_node("4", NodeKind::kAccessToken, "1", "1", "g"));
  });
  EXPECT_EQ(ids_of(end_subtree("2", kNow, "hop")), (Ids{"2", "3"}));
  std::vector<Node> ended;
  run([&](Transaction& transaction) { ended = transaction.end_grant_nodes(GrantId("g"s), kNow, "grant"); });
  EXPECT_EQ(ids_of(ended), (Ids{"1", "4"}));
}

// During an upgrade a server that knows no runs may still write to the same database.
TEST_P(LineageStore, AnEndReachesWhatAnOlderReleaseIssued) {
  run([](Transaction& transaction) {
    for (int i = 0; i < 1200; ++i) transaction.append_audit(make_record("e"), kNow);
    transaction.insert_grant(make_grant("g", "u", "c", "a"));
    transaction.insert_node(make_node("1", NodeKind::kCode, "1", "", "g"));
    transaction.insert_node(make_node("2", NodeKind::kAccessToken, "1", "1", "g"));
    transaction.insert_node(make_node("3", NodeKind::kAccessToken, "1", "2", "g"));
    transaction.insert_node(make_node("4", NodeKind::kAccessToken, "1", "1", "g"));
  });
  close();
  run_sql("UPDATE nodes SET run = 0 WHERE id IN ('3', '4')");
  reopen();
  EXPECT_EQ(ask_reader([](ReadTransaction& t) { return ids_of(t.list_lineage(NodeId("1"s), 10)); }),
            (Ids{"1", "2", "3", "4"}));
  EXPECT_EQ(ask_reader([](ReadTransaction& t) { return ids_of(t.list_grant_nodes(GrantId("g"s), 10)); }),
            (Ids{"1", "2", "3", "4"}));
  EXPECT_EQ(ids_of(end_subtree("2", kNow, "hop")), (Ids{"2", "3"}));
  std::vector<Node> ended;
  run([&](Transaction& transaction) { ended = transaction.end_grant_nodes(GrantId("g"s), kNow, "grant"); });
  EXPECT_EQ(ids_of(ended), (Ids{"1", "4"}));
}

}  // namespace
}  // namespace behalf::test
