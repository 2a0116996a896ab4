// What the endings write for verifiers that do not ask: each verb its items, once, with its transaction or
// not at all.
#include "store/store_contract.h"

namespace behalf::test {
namespace {

using store::ReadTransaction;
using store::RevocationList;
using store::Transaction;

class RevocationStore : public StoreContract {
 protected:
  RevocationList all(int64_t after = 0, size_t limit = 1000) {
    return ask_reader(
        [&](ReadTransaction& transaction) { return transaction.list_revocations(after, limit); });
  }
  // "principal u", "token n1~" (a narrowing), in order, of what was written since the last call.
  Ids news() {
    Ids out;
    for (const auto& item : all(seen_)) {
      out.push_back(std::string(name_of(item->kind)) + " " + item->id + (item->is_narrowing ? "~" : ""));
      EXPECT_GT(item->sequence, seen_) << "the sequence grows";
      seen_ = item->sequence;
    }
    const auto in_memory = store().revocations().after(seen_ - static_cast<int64_t>(out.size()), 1000);
    EXPECT_TRUE(in_memory && in_memory->size() == out.size()) << "the log in memory has what is committed";
    EXPECT_EQ(store().revocations().newest(), seen_);
    return out;
  }
  std::shared_ptr<const Revocation> last() { return all().back(); }
  // Puts the usual cast, whose coming is no revocation.
  void populate() {
    run([](Transaction& transaction) {
      EXPECT_TRUE(transaction.put_user(user(), kNow));
      EXPECT_TRUE(transaction.put_agent(agent(), kNow));
      EXPECT_TRUE(transaction.put_client(client(), kNow));
      Resource resource = make_resource("https://r.example/");
      resource.scopes.push_back({.name = "write", .title = "Write", .description = {}});
      transaction.put_resource(resource, kNow);
      Resource discreet = make_resource("https://d.example/");
      discreet.chain_disclosure = ChainDisclosure::kOutermost;
      transaction.put_resource(discreet, kNow);
    });
    EXPECT_EQ(news(), Ids{}) << "what is new ends nothing";
  }
  static User user() { return make_user("u", "u"); }
  static Agent agent() {
    Agent agent = make_agent("a");
    agent.scopes = ScopeSet{"read", "write"};
    agent.clients = {.everyone = false, .names = {"c", "d"}};
    agent.onward = {.to = {.everyone = true, .names = {}}, .depth = 2, .lifetime = {}};
    return agent;
  }
  static Client client() {
    Client client = make_client("c");
    client.scopes = ScopeSet{"read", "write"};
    return client;
  }
  template <class T>
  static T stopped(T principal, Status status = Status::kSuspended) {
    principal.status = status;
    ++principal.epoch;
    return principal;
  }

  int64_t seen_ = 0;
};
INSTANTIATE_TEST_SUITE_P(Store, RevocationStore, testing::Values(Kind::sqlite, Kind::postgres), name_of);

TEST_P(RevocationStore, WhoeverStopsIsOneItem) {
  populate();
  run([](Transaction& transaction) { EXPECT_TRUE(transaction.put_user(stopped(user()), kNow)); });
  EXPECT_EQ(news(), Ids{"principal u"});
  EXPECT_EQ(last()->cause, "user_suspended");
  EXPECT_EQ(last()->principal, SubjectKind::kUser);
  EXPECT_GE(last()->until, last()->at + kLongestAccessToken)
      << "as long as a token issued just before may live";
  run([](Transaction& transaction) { EXPECT_TRUE(transaction.put_agent(stopped(agent()), kNow)); });
  EXPECT_EQ(news(), Ids{"principal a"});
  EXPECT_EQ(last()->principal, SubjectKind::kAgent);
  run([](Transaction& transaction) {
    EXPECT_TRUE(transaction.put_client(stopped(client(), Status::kDeleted), kNow));
  });
  EXPECT_EQ(news(), Ids{"principal c"});
  EXPECT_EQ(last()->cause, "client_deleted");
  EXPECT_EQ(last()->principal, SubjectKind::kClient);
}

TEST_P(RevocationStore, AResumeAndAnewRegistrationEndNothing) {
  populate();
  run([](Transaction& transaction) { EXPECT_TRUE(transaction.put_agent(stopped(agent()), kNow)); });
  run([](Transaction& transaction) {
    EXPECT_TRUE(transaction.put_client(stopped(client(), Status::kDeleted), kNow));
  });
  EXPECT_EQ(news(), (Ids{"principal a", "principal c"}));
  run([](Transaction& transaction) {
    Agent back = agent();
    back.epoch = 2;
    EXPECT_TRUE(transaction.put_agent(back, kNow));
    Client anew = client();
    anew.epoch = 3;
    EXPECT_TRUE(transaction.put_client(anew, kNow));
  });
  EXPECT_EQ(news(), Ids{});
}

TEST_P(RevocationStore, ANewEpochAloneIsAnEnd) {
  populate();
  run([](Transaction& transaction) {
    User renewed = user();
    renewed.password_hash = "another";
    ++renewed.epoch;
    EXPECT_TRUE(transaction.put_user(renewed, kNow));
  });
  EXPECT_EQ(news(), Ids{"principal u"});
  EXPECT_EQ(last()->cause, "user_renewed");
}

TEST_P(RevocationStore, ACeilingThatShrinksIsANarrowingAndOneThatGrowsIsNot) {
  struct Case {
    std::string cause;
    std::function<void(Agent&)> change;
  };
  populate();
  for (const Case& each : std::vector<Case>{
           {"agent_scopes_narrowed", [](Agent& a) { a.scopes = ScopeSet{"read"}; }},
           {"agent_clients_narrowed", [](Agent& a) { a.clients.names = {"c"}; }},
           {"agent_users_narrowed", [](Agent& a) { a.users = {.everyone = false, .names = {"u"}}; }},
           {"agent_resources_narrowed", [](Agent& a) { a.resources = {.everyone = false, .names = {"r"}}; }},
           {"agent_onward_narrowed", [](Agent& a) { a.onward.to = {.everyone = false, .names = {"b"}}; }},
           {"agent_onward_narrowed", [](Agent& a) { a.onward.depth = 1; }}}) {
    run([&](Transaction& transaction) {
      Agent less = agent();
      each.change(less);
      EXPECT_TRUE(transaction.put_agent(less, kNow));
    });
    EXPECT_EQ(news(), Ids{"principal a~"}) << each.cause;
    EXPECT_EQ(last()->cause, each.cause);
    run([&](Transaction& transaction) { EXPECT_TRUE(transaction.put_agent(agent(), kNow)); });
    EXPECT_EQ(news(), Ids{}) << "back again, which is more: " << each.cause;
  }
  run([](Transaction& transaction) {
    Client less = client();
    less.scopes = ScopeSet{"write"};
    EXPECT_TRUE(transaction.put_client(less, kNow));
    User limited = user();
    limited.entitlements = ScopeSet{"read", "write"};
    EXPECT_TRUE(transaction.put_user(limited, kNow));
    transaction.put_resource(make_resource("https://r.example/"), kNow);
  });
  EXPECT_EQ(news(), (Ids{"principal c~", "principal u~", "resource https://r.example/~"}));
  EXPECT_EQ(last()->scope, "read") << "what is left";
  run([](Transaction& transaction) {
    User limited = user();
    limited.entitlements = ScopeSet{"read"};
    EXPECT_TRUE(transaction.put_user(limited, kNow));
    EXPECT_TRUE(transaction.put_user(user(), kNow));
  });
  EXPECT_EQ(news(), Ids{"principal u~"});
}

TEST_P(RevocationStore, AResourceThatGoesEndsItsTokens) {
  populate();
  run([](Transaction& transaction) { transaction.remove_resource(ResourceId("https://r.example/"s), kNow); });
  EXPECT_EQ(news(), Ids{"resource https://r.example/~"});
}

TEST_P(RevocationStore, AGrantEndsOnceAndCoversItsTokens) {
  populate();
  run([](Transaction& transaction) {
    transaction.insert_grant(make_grant("g"));
    transaction.insert_node(make_node("n1", NodeKind::kAccessToken, {}, {}, "g"));
  });
  run([](Transaction& transaction) {
    EXPECT_TRUE(transaction.end_grant(GrantId("g"s), kNow, "revoked"));
    EXPECT_EQ(transaction.end_grant_nodes(GrantId("g"s), kNow, "revoked").size(), 1U);
  });
  EXPECT_EQ(news(), Ids{"grant g"});
  EXPECT_EQ(last()->cause, "revoked");
  EXPECT_EQ((Ids{last()->user, last()->client, last()->agent}), (Ids{"u", "c", "a"}));
  run([](Transaction& transaction) {
    EXPECT_FALSE(transaction.end_grant(GrantId("g"s), kNow, "again"));
    EXPECT_FALSE(transaction.end_grant(GrantId("unknown"s), kNow, "again"));
  });
  EXPECT_EQ(news(), Ids{});
}

TEST_P(RevocationStore, AGrantThatEndsWithItsPersonClientOrAgentNeedsNoItemOfItsOwn) {
  populate();
  run([](Transaction& transaction) {
    for (const char* id : {"g1", "g2", "g3", "g4"}) transaction.insert_grant(make_grant(id));
  });
  const auto end = [](Transaction& transaction, const char* id) {
    EXPECT_TRUE(transaction.end_grant(GrantId(std::string(id)), kNow, "with"));
  };
  run([&](Transaction& transaction) {
    EXPECT_TRUE(transaction.put_agent(stopped(agent()), kNow));
    end(transaction, "g1");
  });
  EXPECT_EQ(news(), Ids{"principal a"});
  run([&](Transaction& transaction) {
    EXPECT_TRUE(transaction.put_client(stopped(client()), kNow));
    end(transaction, "g2");
  });
  EXPECT_EQ(news(), Ids{"principal c"});
  run([&](Transaction& transaction) {
    EXPECT_TRUE(transaction.put_user(stopped(user()), kNow));
    end(transaction, "g3");
  });
  EXPECT_EQ(news(), Ids{"principal u"});
  run([&](Transaction& transaction) { end(transaction, "g4"); });
  EXPECT_EQ(news(), Ids{"grant g4"}) << "in another transaction nothing covers it";
}

TEST_P(RevocationStore, AHopIsOneItemForEachTokenThatCanBeShownToOthers) {
  populate();
  run([](Transaction& transaction) {
    transaction.insert_node(make_code("n0"));
    transaction.insert_node(make_node("n1", NodeKind::kAccessToken, "n0", "n0"));
    transaction.insert_node(make_node("n2", NodeKind::kAccessToken, "n0", "n1"));
    Node opaque = make_node("n3", NodeKind::kAccessToken, "n0", "n1");
    opaque.secret_hash = "hash";
    transaction.insert_node(opaque);
    Node proof = make_node("n4", NodeKind::kAccessToken, "n0", "n1");
    proof.is_actor_token = true;
    transaction.insert_node(proof);
    Node over = make_node("n5", NodeKind::kAccessToken, "n0", "n1");
    over.expires_at = kNow + Seconds{10};
    transaction.insert_node(over);
    transaction.insert_node(make_node("n6", NodeKind::kRefreshToken, "n0", "n1"));
    transaction.insert_node(make_node("n7", NodeKind::kAccessToken, "n0", "n0"));
  });
  run([](Transaction& transaction) {
    EXPECT_EQ(transaction.end_subtree(NodeId("n1"s), kNow + Seconds{10}, "hop").size(), 6U);
  });
  EXPECT_EQ(news(), (Ids{"token n1", "token n2"}));
  EXPECT_GT(last()->until, kNow + Seconds{600}) << "as long as the token lives, and leeway";
  EXPECT_LT(last()->until, kNow + kLongestAccessToken);
  run([](Transaction& transaction) { transaction.end_subtree(NodeId("n1"s), kNow + Seconds{11}, "again"); });
  EXPECT_EQ(news(), Ids{});
  run([](Transaction& transaction) { transaction.end_subtree(NodeId("n0"s), kNow + Seconds{11}, "root"); });
  EXPECT_EQ(news(), Ids{"token n7"});
}

TEST_P(RevocationStore, NodesOfAGrantThatGoesOnAreItems) {
  populate();
  run([](Transaction& transaction) {
    transaction.insert_grant(make_grant("g"));
    transaction.insert_node(make_node("n1", NodeKind::kAccessToken, {}, {}, "g"));
    transaction.end_grant_nodes(GrantId("g"s), kNow, "cause");
  });
  EXPECT_EQ(news(), Ids{"token n1"});
}

TEST_P(RevocationStore, ANameThatATokenDoesNotShowEndsItByItself) {
  populate();
  const Actor inner{.kind = ActorKind::kAgent, .id = "a", .epoch = 1, .instance = {}};
  const Actor outer{.kind = ActorKind::kAgent, .id = "b", .epoch = 1, .instance = {}};
  run([&](Transaction& transaction) {
    Node shown = make_node("shown");
    shown.resource = ResourceId("https://r.example/"s);
    shown.chain.actors = {outer, inner};
    shown.via = {{ClientId("c"s), 1}};
    transaction.insert_node(shown);
    Node discreet = shown;
    discreet.id = discreet.root = NodeId("discreet"s);
    discreet.resource = ResourceId("https://d.example/"s);
    transaction.insert_node(discreet);
    Node without = shown;
    without.id = without.root = NodeId("without"s);
    without.hides_act = true;
    without.chain.actors = {inner};
    transaction.insert_node(without);
    Node opaque = discreet;
    opaque.id = opaque.root = NodeId("opaque"s);
    opaque.secret_hash = "hash";
    transaction.insert_node(opaque);
    Node over = discreet;
    over.id = over.root = NodeId("over"s);
    over.expires_at = kNow + Seconds{1};
    transaction.insert_node(over);
  });
  run([&](Transaction& transaction) {
    Resource renaming = make_resource("https://p.example/");
    renaming.subject_type = SubjectType::kPairwise;
    transaction.put_resource(renaming, kNow);
    Node renamed = make_node("renamed");
    renamed.resource = ResourceId("https://p.example/"s);
    transaction.insert_node(renamed);
    Node software = renamed;
    software.id = software.root = NodeId("software"s);
    software.subject = {.kind = SubjectKind::kClient, .id = "e", .epoch = 1};
    transaction.insert_node(software);
  });
  const UnixTime later = kNow + Seconds{300};
  run([&](Transaction& transaction) {
    Agent less = agent();
    less.scopes = {};
    EXPECT_TRUE(transaction.put_agent(less, later));
  });
  EXPECT_EQ(news(), (Ids{"principal a~", "token discreet~", "token without~"}));
  run([&](Transaction& transaction) { EXPECT_TRUE(transaction.put_client(stopped(client()), later)); });
  EXPECT_EQ(news(), (Ids{"principal c", "token discreet", "token without"}));
  EXPECT_EQ(last()->until, kNow + Seconds{600} + kVerifierLeeway);
  run([&](Transaction& transaction) { EXPECT_TRUE(transaction.put_user(stopped(user()), later)); });
  EXPECT_EQ(news(), (Ids{"principal u", "token renamed"}))
      << "a resource that knows people by names of its own";
}

TEST_P(RevocationStore, WhatIsRolledBackRevokesNothing) {
  populate();
  EXPECT_THROW(run([](Transaction& transaction) {
                 EXPECT_TRUE(transaction.put_agent(stopped(agent()), kNow));
                 throw std::runtime_error("taken back");
               }),
               std::runtime_error);
  EXPECT_EQ(news(), Ids{});
  run([](Transaction& transaction) { EXPECT_TRUE(transaction.put_user(stopped(user()), kNow)); });
  EXPECT_EQ(news(), Ids{"principal u"});
}

TEST_P(RevocationStore, ATimeIsNeverBeforeWhatWasDecided) {
  populate();
  run([](Transaction& transaction) { transaction.append_audit(make_record("e"), kNow + Seconds{5}); });
  run([](Transaction& transaction) { EXPECT_TRUE(transaction.put_user(stopped(user()), kNow)); });
  EXPECT_EQ(last()->at, kNow + Seconds{5}) << "a token decided before may say that time";
}

TEST_P(RevocationStore, TheSequenceOutlivesWhatWasForgottenAndARestart) {
  populate();
  for (const int64_t round : {1, 2, 3}) {
    run([&](Transaction& transaction) {
      User renewed = user();
      renewed.epoch = 1 + round;
      EXPECT_TRUE(transaction.put_user(renewed, kNow));
    });
    EXPECT_EQ(last()->sequence, round);
    const UnixTime until = last()->until;
    run([&](Transaction& transaction) { EXPECT_EQ(transaction.purge_revocations(until, 100), 0U); });
    EXPECT_EQ(all().size(), 1U) << "kept as long as it may be needed";
    run([&](Transaction& transaction) {
      EXPECT_EQ(transaction.purge_revocations(UnixTime{until.milliseconds + 1}, 100), 1U);
    });
    EXPECT_EQ(all().size(), 0U);
    reopen();
    EXPECT_EQ(store().revocations().newest(), round);
    EXPECT_EQ(ask_reader([](ReadTransaction& t) { return t.last_revocation(); }), round);
  }
}

TEST_P(RevocationStore, AfterARestartTheLogHasWhatIsKept) {
  populate();
  run([](Transaction& transaction) { EXPECT_TRUE(transaction.put_user(stopped(user()), kNow)); });
  const auto before = last();
  reopen();
  const auto items = store().revocations().after(0, 10);
  ASSERT_TRUE(items);
  ASSERT_EQ(items->size(), 1U);
  const Revocation& found = *items->front();
  EXPECT_EQ(found.id, before->id);
  EXPECT_EQ(found.kind, before->kind);
  EXPECT_EQ(found.at, before->at);
  EXPECT_EQ(found.until, before->until);
  EXPECT_EQ(found.cause, before->cause);
  EXPECT_EQ(all(0, 0).size(), 0U);
  EXPECT_EQ(all(1, 10).size(), 0U);
}

TEST_P(RevocationStore, AKeyThatIsNoLongerPublishedIsRevokedOnce) {
  const auto publish = [&](const std::vector<std::string>& ids) {
    run([&](Transaction& transaction) { transaction.publish_keys(ids, kNow); });
  };
  publish({"k1", "k2"});
  EXPECT_EQ(news(), Ids{}) << "nothing was published before";
  publish({"k2", "k3"});
  EXPECT_EQ(news(), Ids{"key k1"});
  reopen();
  publish({"k3"});
  EXPECT_EQ(news(), Ids{"key k2"});
  publish({"k3"});
  EXPECT_EQ(news(), Ids{});
  Ids told;
  for (const LoggedRecord& logged : whole_log(store())) {
    const auto record = json::parse(logged.json);
    ASSERT_TRUE(record);
    told.push_back(*record->find_string("event") + " " + *record->find("details")->find_string("key"));
  }
  EXPECT_EQ(told, (Ids{"key.publish k1", "key.publish k2", "key.withdraw k1", "key.publish k3",
                       "key.withdraw k2"}));
}

TEST_P(RevocationStore, AStreamComesBackInEveryMemberAndNeverGoesBack) {
  SignalStream wanted;
  wanted.id = StreamId("s1"s);
  wanted.client = ClientId("c"s);
  wanted.cursor = 7;
  wanted.seen_at = kNow;
  wanted.status = StreamStatus::kPaused;
  wanted.status_reason = "why";
  wanted.description = "O'Brien \"q\" -- 👩";
  wanted.events_requested = {"one", "two"};
  wanted.push_url = "https://r.example/events";
  wanted.push_authorization = "Bearer x";
  wanted.verified_at = kNow + Seconds{1};
  wanted.verification_jti = "v1";
  wanted.verification_state = "state";
  wanted.created_at = kNow - Seconds{5};
  run([&](Transaction& transaction) {
    transaction.put_stream(wanted);
    SignalStream other = wanted;
    other.id = StreamId("s2"s);
    other.client = ClientId("d"s);
    transaction.put_stream(other);
  });
  const auto find = [](ReadTransaction& t) { return t.find_stream(StreamId("s1"s)); };
  const auto found = ask_reader(find);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->client, wanted.client);
  EXPECT_EQ(found->cursor, 7);
  EXPECT_EQ(found->seen_at, kNow);
  EXPECT_EQ(found->status, wanted.status);
  EXPECT_EQ(found->status_reason, wanted.status_reason);
  EXPECT_EQ(found->description, wanted.description);
  EXPECT_EQ(found->events_requested, wanted.events_requested);
  EXPECT_EQ(found->push_url, wanted.push_url);
  EXPECT_EQ(found->push_authorization, wanted.push_authorization);
  EXPECT_EQ(found->verified_at, wanted.verified_at);
  EXPECT_EQ(found->verification_jti, wanted.verification_jti);
  EXPECT_EQ(found->verification_state, wanted.verification_state);
  EXPECT_EQ(found->created_at, wanted.created_at);
  run([&](Transaction& transaction) {
    transaction.advance_stream(StreamId("s1"s), 9, kNow + Seconds{60});
    transaction.advance_stream(StreamId("s1"s), 8, kNow);
    transaction.put_stream(wanted);  // made from what was known before
    transaction.advance_stream(StreamId("unknown"s), 9, kNow);
  });
  EXPECT_EQ(ask_reader(find)->cursor, 9);
  EXPECT_EQ(ask_reader(find)->seen_at, kNow + Seconds{60});
  const auto count = [&](const std::string& client) {
    return ask_reader([&](ReadTransaction& t) { return t.list_streams(ClientId(client)).size(); });
  };
  EXPECT_EQ(count("c"), 1U);
  EXPECT_EQ(count("d"), 1U);
  EXPECT_EQ(count(""), 2U);
  EXPECT_EQ(count("e"), 0U);
  run([](Transaction& transaction) {
    EXPECT_TRUE(transaction.remove_stream(StreamId("s1"s)));
    EXPECT_FALSE(transaction.remove_stream(StreamId("s1"s)));
  });
  EXPECT_FALSE(ask_reader(find));
}

TEST_P(RevocationStore, APlaceInAStatusListIsGivenOnceAndFoundAgain) {
  std::vector<int64_t> places;
  run([&](Transaction& transaction) {
    places = {transaction.take_status_place(), transaction.take_status_place()};
    Node node = make_node("n1");
    node.status_place = places[1];
    transaction.insert_node(node);
    transaction.insert_node(make_node("n2"));
  });
  EXPECT_NE(places[0], places[1]);
  reopen();
  run([&](Transaction& transaction) { places.push_back(transaction.take_status_place()); });
  EXPECT_GT(places[2], places[1]);
  const auto list = [&](int64_t from, int64_t to, UnixTime now) {
    return ask_reader([&](ReadTransaction& t) { return t.list_status_places(from, to, now); });
  };
  const auto found = list(0, 100, kNow);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0]->status_place, places[1]);
  EXPECT_EQ(found[0]->id.text(), "n1");
  EXPECT_EQ(list(0, places[1], kNow).size(), 0U);
  EXPECT_EQ(list(places[1] + 1, 100, kNow).size(), 0U);
  EXPECT_EQ(list(0, 100, kNow + Seconds{600}).size(), 0U) << "what has expired is not asked about";
  const auto taken = ask_reader([](ReadTransaction& t) { return t.status_places(); });
  ASSERT_TRUE(taken);
  EXPECT_EQ(*taken, std::pair(places[1], places[1]));
  run([](Transaction& t) { EXPECT_EQ(t.purge_revocations(kNow + Seconds{601}, 10), 1U); });
  EXPECT_FALSE(ask_reader([](ReadTransaction& t) { return t.status_places(); }));
}

// As a release before this one left it.
TEST_P(RevocationStore, AStoreOfTheFirstSchemaIsMigratedWithAllThatIsInIt) {
  run([](Transaction& transaction) {
    EXPECT_TRUE(transaction.put_user(user(), kNow));
    transaction.append_audit(make_record("e"), kNow);
  });
  close();
  run_sql(kBackToSecondSchema);
  run_sql(
      "DROP TABLE revocations; DROP TABLE hidden_names; DROP TABLE streams; DROP TABLE published_keys; "
      "DROP TABLE status_places; ALTER TABLE head DROP COLUMN revocations; "
      "ALTER TABLE head DROP COLUMN status_places; UPDATE schema_version SET version = 1");
  reopen();
  EXPECT_EQ(verified_length(whole_log(store())), 1);
  run([](Transaction& transaction) { EXPECT_TRUE(transaction.put_user(stopped(user()), kNow)); });
  EXPECT_EQ(news(), Ids{"principal u"});
  reopen();
  EXPECT_EQ(last()->sequence, 1);
}

}  // namespace
}  // namespace behalf::test
