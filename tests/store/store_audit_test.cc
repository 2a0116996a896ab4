// The audit log: numbered without gaps, chained by a hash that anyone can compute again, and one with the
// work it tells of. Also what only opening shows: a schema of the future, a store that comes back whole, the
// latest time.
#include <functional>

#include "store/store_contract.h"

namespace behalf::test {
namespace {

using store::AuditFilter;
using store::ReadTransaction;
using store::Transaction;

class AuditStore : public StoreContract {
 protected:
  // The events that `filter` lets through; a reader and a writer must agree.
  Ids list(const AuditFilter& filter) {
    const auto ask = [&](ReadTransaction& transaction) {
      Ids numbers;
      for (const LoggedRecord& record : transaction.list_audit(filter))
        numbers.push_back(std::to_string(record.sequence));
      return numbers;
    };
    EXPECT_EQ(ask_reader(ask), ask_writer(ask));
    return ask_reader(ask);
  }
};
INSTANTIATE_TEST_SUITE_P(Store, AuditStore, testing::Values(Kind::sqlite, Kind::postgres), name_of);

// As if the log had gone on until there.
std::string after_record(int64_t last) {
  const std::string number = std::to_string(last);
  if (last == 0) return "UPDATE head SET sequence = 0";
  return "INSERT INTO audit (sequence, record, hash) SELECT " + number +
         ", '{}', hash FROM head WHERE true ON CONFLICT DO NOTHING; UPDATE head SET sequence = " + number;
}

AuditRecord hostile_record() {
  AuditRecord record = make_record("event", "g'1");
  record.outcome = AuditOutcome::kDenied;
  record.error = "invalid_grant";
  record.reason = record.request_id = record.trace = record.peer = record.user = record.client =
      record.agent = kHostile;
  record.chain.actors = {{.kind = ActorKind::kAgent, .id = kHostile, .epoch = 1},
                         {.kind = ActorKind::kService, .id = "s", .epoch = 2}};
  record.node = record.parent = record.scope = record.resource = kHostile;
  record.details.set("text", kHostile);
  record.details.set("number", kMost);
  return record;
}

TEST_P(AuditStore, TheChainIsComputedAgainByAnotherHand) {
  for (int i = 0; i < 5; ++i) {
    run([&](Transaction& transaction) {
      transaction.append_audit(make_record("one"), kNow + Seconds{i});
      if (i % 2 == 0) transaction.append_audit(hostile_record(), kNow + Seconds{i});
    });
    if (i == 2) reopen();
  }
  std::vector<LoggedRecord> log = whole_log(store());
  ASSERT_EQ(log.size(), 8U);
  EXPECT_EQ(verified_length(log), 8);
  EXPECT_EQ(log[1].json, canonical_json(hostile_record(), 2, kNow))
      << "the record's bytes are what was hashed";

  const auto broken = [&](const std::function<void(std::vector<LoggedRecord>&)>& damage) {
    std::vector<LoggedRecord> copy = log;
    damage(copy);
    return verified_length(copy) == -1;
  };
  EXPECT_TRUE(broken([](auto& records) { records[3].json.back() = ' '; }));
  EXPECT_TRUE(broken([](auto& records) { records.erase(records.begin() + 2); }));
  EXPECT_TRUE(broken([](auto& records) { std::swap(records[2], records[3]); }));
}

TEST_P(AuditStore, ALineageWithoutAConsentIsFoundByItsFirstNode) {
  run([](Transaction& transaction) {
    AuditRecord own = make_record("own");
    own.lineage = "root'1";
    transaction.append_audit(own, kNow);
    AuditRecord consented = make_record("consented", "g'1");
    consented.lineage = "root'1";  // the consent comes first
    transaction.append_audit(consented, kNow);
    transaction.append_audit(make_record("neither"), kNow);
  });
  EXPECT_EQ(list({.grant = "root'1"}), (Ids{"1"}));
  EXPECT_EQ(list({.grant = "g'1"}), (Ids{"2"}));
  const auto log = whole_log(store());
  EXPECT_EQ(log[0].lineage, "root'1");
  EXPECT_EQ(log[1].lineage, "g'1");
  EXPECT_EQ(log[2].lineage, "");
  EXPECT_EQ(log[0].json.find("root'1"), std::string::npos)
      << "what it is filed under is not part of the record";
}

TEST_P(AuditStore, AFilterGivesUpWhereItIsToldTo) {
  run([](Transaction& transaction) {
    for (int i = 0; i < 10; ++i) {
      AuditRecord record = make_record("event");
      record.client = i == 8 ? "wanted" : "other";
      transaction.append_audit(record, kNow);
    }
  });
  EXPECT_EQ(list({.client = "wanted", .most_read = 8}), Ids{});
  EXPECT_EQ(list({.client = "wanted", .most_read = 9}), (Ids{"9"}));
  EXPECT_EQ(list({.newest_first = true, .client = "wanted", .most_read = 2}), (Ids{"9"}));
  EXPECT_EQ(list({.newest_first = true, .client = "wanted", .most_read = 1}), Ids{});
}

// What is read at once is bounded, and whoever goes on from where it stopped has read everything once.
TEST_P(AuditStore, APartSaysHowFarItHasRead) {
  run([](Transaction& transaction) {
    for (int i = 1; i <= 40; ++i) {
      AuditRecord record = make_record("event", i % 4 == 0 ? "g'1" : "");
      record.client = i % 10 == 0 ? "wanted" : "other";
      transaction.append_audit(record, kNow);
    }
  });
  const auto read_all = [&](const AuditFilter& wanted) {
    const auto ask = [&](ReadTransaction& transaction) {
      AuditFilter filter = wanted;
      Ids numbers;
      for (int part = 0; part < 100; ++part) {
        const store::AuditPage page = transaction.read_audit(filter);
        EXPECT_LE(page.seen, 3U);
        EXPECT_EQ(page.newest, 40);
        for (const LoggedRecord& record : page.records) numbers.push_back(std::to_string(record.sequence));
        (filter.newest_first ? filter.before : filter.after) = page.read_to;
        if (page.is_end) {
          EXPECT_EQ(page.read_to, filter.newest_first ? 0 : 40);
          return numbers;
        }
      }
      ADD_FAILURE() << "it has no end";
      return numbers;
    };
    EXPECT_EQ(ask_reader(ask), ask_writer(ask));
    return ask_reader(ask);
  };
  EXPECT_EQ(read_all({.client = "wanted", .most_read = 3}), (Ids{"10", "20", "30", "40"}));
  EXPECT_EQ(read_all({.newest_first = true, .client = "wanted", .most_read = 3}),
            (Ids{"40", "30", "20", "10"}));
  EXPECT_EQ(read_all({.grant = "g'1", .client = "wanted", .most_read = 3}), (Ids{"20", "40"}));
  EXPECT_EQ(read_all({.newest_first = true, .grant = "g'1", .client = "wanted", .most_read = 3}),
            (Ids{"40", "20"}));
  EXPECT_EQ(read_all({.client = "nobody", .most_read = 3}), Ids{});
  EXPECT_EQ(read_all({.limit = 2, .most_read = 3}).size(), 40U);
  // Two texts' worth of bytes, and one that is longer than all that was asked for.
  const size_t two = canonical_json(make_record("event"), 1, kNow).size() * 2 + 60;
  EXPECT_EQ(read_all({.most_read = 3, .most_bytes = two}).size(), 40U);
  EXPECT_EQ(read_all({.newest_first = true, .most_read = 3, .most_bytes = 1}).size(), 40U);
  EXPECT_EQ(ask_reader([](ReadTransaction& transaction) {
              return transaction.read_audit({.most_bytes = 1}).records.size();
            }),
            1U);
}

TEST_P(AuditStore, AFaultLeavesNeitherEffectNorRecord) {
  run([](Transaction& transaction) { transaction.append_audit(make_record("first"), kNow); });
  EXPECT_THROW(run([](Transaction& transaction) {
                 transaction.insert_grant(make_grant("lost"));
                 transaction.append_audit(make_record("lost", "lost"), kNow + Seconds{100});
                 throw std::runtime_error("a fault");
               }),
               std::runtime_error);
  EXPECT_THROW(run([](Transaction& transaction) {
                 transaction.append_audit(make_record("lost", "lost"), kNow + Seconds{100});
                 transaction.insert_grant(make_grant("twice"));
                 transaction.insert_grant(make_grant("twice"));  // the database itself refuses
               }),
               std::runtime_error);
  EXPECT_THROW(run([](Transaction& transaction) {
                 AuditRecord record = make_record("lost");
                 record.user = "\xff";  // no UTF-8: refused rather than stored otherwise than hashed
                 transaction.append_audit(record, kNow + Seconds{100});
                 transaction.insert_grant(make_grant("lost"));
               }),
               std::runtime_error);
  run([](Transaction& transaction) {
    transaction.insert_grant(make_grant("kept"));
    transaction.append_audit(make_record("second", "kept"), kNow + Seconds{1});
  });
  const auto exists = [&](const std::string& id) {
    return ask_reader(
        [&](ReadTransaction& transaction) { return transaction.find_grant(GrantId(id)) != nullptr; });
  };
  EXPECT_FALSE(exists("lost"));
  EXPECT_FALSE(exists("twice"));
  EXPECT_TRUE(exists("kept"));
  const std::vector<LoggedRecord> log = whole_log(store());
  EXPECT_EQ(verified_length(log), 2) << "a fault uses up no number";
  EXPECT_NE(log.back().json.find("\"second\""), std::string::npos);
  EXPECT_EQ(store().high_water(), kNow + Seconds{1});
}

TEST_P(AuditStore, EveryFilterAndPaging) {
  const auto add = [&](const std::string& event, const std::string& grant, const std::string& user,
                       const std::string& client, const std::string& agent, std::vector<std::string> chain) {
    AuditRecord record = make_record(event, grant);
    record.user = user;
    record.client = client;
    record.agent = agent;
    for (std::string& id : chain)
      record.chain.actors.push_back({.kind = ActorKind::kAgent, .id = std::move(id), .epoch = 1});
    run([&](Transaction& transaction) { transaction.append_audit(record, kNow); });
  };
  add("token.code", "g1", "u1", "c1", "a1", {"a1"});            // 1
  add("token.exchange", "g1", "u1", "c2", "a2", {"a2", "a1"});  // 2
  add("tokens", "g2", "u2", "c1", "a1", {});                    // 3
  add("consent.allow", "G1", "U1", "C1", "A1", {"A1"});         // 4
  add("token.code", "", "u1", "c1", "", {});                    // 5
  EXPECT_EQ(list({}), (Ids{"1", "2", "3", "4", "5"}));
  EXPECT_EQ(list({.after = 3}), (Ids{"4", "5"}));
  EXPECT_EQ(list({.after = 5}), Ids{});
  EXPECT_EQ(list({.limit = 2}), (Ids{"1", "2"}));
  EXPECT_EQ(list({.after = 2, .limit = 2}), (Ids{"3", "4"}));
  EXPECT_EQ(list({.newest_first = true}), (Ids{"5", "4", "3", "2", "1"}));
  EXPECT_EQ(list({.newest_first = true, .limit = 2}), (Ids{"5", "4"}));
  EXPECT_EQ(list({.after = 3, .newest_first = true, .limit = 2}), (Ids{"5", "4"})) << "`after` is ignored";
  EXPECT_EQ(list({.user = "u1"}), (Ids{"1", "2", "5"}));
  EXPECT_EQ(list({.client = "c1"}), (Ids{"1", "3", "5"}));
  EXPECT_EQ(list({.agent = "a1"}), (Ids{"1", "2", "3"})) << "anywhere in the chain";
  EXPECT_EQ(list({.event = "token."}), (Ids{"1", "2", "5"})) << "a prefix";
  EXPECT_EQ(list({.event = "token"}), (Ids{"1", "2", "3", "5"}));
  EXPECT_EQ(list({.user = "u1", .client = "c1", .event = "token.code"}), (Ids{"1", "5"}));
  EXPECT_EQ(list({.user = "u1", .limit = 1}), (Ids{"1"}));
  EXPECT_EQ(list({.after = 1, .user = "u1", .limit = 1}), (Ids{"2"}));
  EXPECT_EQ(list({.newest_first = true, .user = "u1", .limit = 2}), (Ids{"5", "2"}));
  EXPECT_EQ(list({.grant = "g1"}), (Ids{"1", "2"}));
  EXPECT_EQ(list({.grant = "g1", .client = "c2"}), (Ids{"2"}));
  EXPECT_EQ(list({.after = 1, .grant = "g1"}), (Ids{"2"}));
  EXPECT_EQ(list({.grant = "g1", .limit = 1}), (Ids{"1"}));
  EXPECT_EQ(list({.newest_first = true, .grant = "g1"}), (Ids{"2", "1"}));
  EXPECT_EQ(list({.newest_first = true, .grant = "g1", .limit = 1}), (Ids{"2"}));
  EXPECT_EQ(list({.grant = "unknown"}), Ids{});
  EXPECT_EQ(list({.user = "' OR 1=1 --"}), Ids{});
}

TEST_P(AuditStore, AFilterFindsWhatLiesBehindManyOtherRecords) {
  constexpr int kOthers = 4100;  // more than two of the pieces the log is read in
  run([&](Transaction& transaction) {
    transaction.append_audit(make_record("rare.first"), kNow);
    for (int i = 0; i < kOthers; ++i) transaction.append_audit(make_record("common", "g"), kNow);
    transaction.append_audit(make_record("rare.last"), kNow);
  });
  const std::string last = std::to_string(kOthers + 2);
  EXPECT_EQ(list({.event = "rare"}), (Ids{"1", last}));
  EXPECT_EQ(list({.newest_first = true, .event = "rare"}), (Ids{last, "1"}));
  const Ids all = list({.limit = 1'000'000});
  ASSERT_EQ(all.size(), size_t{kOthers + 2}) << "nothing twice, nothing left out where one piece ends";
  EXPECT_EQ(all.back(), last);
  EXPECT_EQ(list({.grant = "g", .limit = 1'000'000}).size(), size_t{kOthers});
  EXPECT_EQ(list({.newest_first = true, .grant = "g", .limit = 1'000'000}).size(), size_t{kOthers});
  EXPECT_EQ(verified_length(whole_log(store())), kOthers + 2);
}

// Writes are cheap only where the log is not searched by grant in one piece: what belongs to a grant is far
// apart.
TEST_P(AuditStore, WhatAGrantDidIsFoundInEveryPartOfTheLog) {
  Ids of_g;
  const auto append = [&](const std::string& grant, int64_t at) {
    close();
    run_sql(after_record(at - 1));
    reopen();
    run([&](Transaction& transaction) { transaction.append_audit(make_record("e", grant), kNow); });
    if (grant == "g") of_g.push_back(std::to_string(at));
  };
  // The first and last record of a run and of a stretch, neighbours, and a gap of many stretches.
  for (const int64_t at : {1, 2, 511, 512, 513, 65'535, 65'536, 65'537, 131'071, 131'072, 2'000'000})
    append("g", at);
  append("other", 2'000'001);
  append("g", 9'000'000);
  // And by a server that goes on from one stretch to the next.
  append("g", 9'043'966);
  for (int64_t at = 9'043'967; at < 9'043'972; ++at) {
    run([](Transaction& transaction) { transaction.append_audit(make_record("e", "g"), kNow); });
    of_g.push_back(std::to_string(at));
  }
  EXPECT_EQ(list({.grant = "g"}), of_g);
  EXPECT_EQ(list({.newest_first = true, .grant = "g"}), Ids(of_g.rbegin(), of_g.rend()));
  EXPECT_EQ(list({.grant = "other"}), (Ids{"2000001"}));
  for (size_t i = 0; i < of_g.size(); ++i) {
    const Ids rest(of_g.begin() + static_cast<std::ptrdiff_t>(i) + 1, of_g.end());
    EXPECT_EQ(list({.after = std::stoll(of_g[i]), .grant = "g"}), rest);
    EXPECT_EQ(list({.grant = "g", .limit = i}),
              Ids(of_g.begin(), of_g.begin() + static_cast<std::ptrdiff_t>(i)));
  }
  EXPECT_EQ(list({.after = INT64_MAX, .grant = "g"}), Ids{});
  EXPECT_EQ(list({.after = -1, .grant = "g", .limit = 2}), (Ids{"1", "2"}));
}

// During an upgrade a server that knows no runs may still write to the same database.
TEST_P(AuditStore, WhatAnOlderReleaseRecordedIsFoundAmongTheRest) {
  const auto append = [&](const std::string& grant) {
    run([&](Transaction& transaction) { transaction.append_audit(make_record("e", grant), kNow); });
  };
  for (int i = 0; i < 3; ++i) append("g");
  close();
  run_sql(std::string(kBackToThirdSchema) + "UPDATE schema_version SET version = 3");
  reopen();
  EXPECT_EQ(list({.grant = "g"}), (Ids{"1", "2", "3"})) << "migrated";

  close();
  run_sql(after_record(300'000));
  reopen();
  for (int i = 0; i < 4; ++i) append("g");
  close();
  // Two of the four as the older release leaves them, and all of a stretch that nobody took note of.
  run_sql("UPDATE audit SET run = 0 WHERE sequence IN (300002, 300004); " + after_record(500'000));
  reopen();
  append("g");
  close();
  run_sql("UPDATE audit SET run = 0 WHERE sequence > 500000; DELETE FROM audit_stretches WHERE stretch = 7");
  reopen();
  const Ids all{"1", "2", "3", "300001", "300002", "300003", "300004", "500001"};
  EXPECT_EQ(list({.grant = "g"}), all);
  EXPECT_EQ(list({.newest_first = true, .grant = "g"}), Ids(all.rbegin(), all.rend()));
  EXPECT_EQ(list({.after = 300'002, .grant = "g", .limit = 2}), (Ids{"300003", "300004"}));
}

// A fault takes back that a stretch was noted; what is remembered of it must go as well.
TEST_P(AuditStore, AGrantIsFoundThoughItsFirstRecordWasTakenBack) {
  close();
  run_sql(after_record(70'000));
  reopen();
  EXPECT_THROW(run([](Transaction& transaction) {
                 transaction.append_audit(make_record("e", "g"), kNow);
                 throw std::runtime_error("a fault");
               }),
               std::runtime_error);
  run([](Transaction& transaction) { transaction.append_audit(make_record("e", "g"), kNow); });
  EXPECT_EQ(list({.grant = "g"}), (Ids{"70001"}));
}

// Whoever takes the newest records away must not find a server that writes on over them.
TEST_P(AuditStore, ALogThatWasCutShortIsNotWrittenOn) {
  run([](Transaction& transaction) {
    for (int i = 0; i < 3; ++i) transaction.append_audit(make_record("e"), kNow);
  });
  reopen();
  const auto refusal = [&](const std::string& damage) -> std::string {
    close();
    run_sql(damage);
    try {
      reopen();
    } catch (const store::StoreUnavailable& refused) {
      return refused.what();
    }
    return "opened";
  };
  EXPECT_NE(refusal("DELETE FROM audit WHERE sequence = 3").find("its last record is 2 and 3 were written"),
            std::string::npos);
  EXPECT_NE(refusal("UPDATE head SET sequence = 2").find("another hash"), std::string::npos);
  EXPECT_NE(refusal("DELETE FROM audit").find("its last record is 0 and 2 were written"), std::string::npos);
}

TEST_P(AuditStore, ASecretInTheWrongPlaceIsNotKept) {
  const std::string secret(43, 'S');
  const std::string handle = "01m85abcdefghjkmnpqrstvwxy" + secret;
  const std::string jwt = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJ4In0." + secret;
  const auto stored = [&](const std::function<void(AuditRecord&)>& change) {
    AuditRecord record = make_record("e");
    change(record);
    run([&](Transaction& transaction) { transaction.append_audit(record, kNow); });
    const auto log = whole_log(store());
    EXPECT_EQ(verified_length(log), static_cast<int64_t>(log.size()));
    return log.back().json;
  };
  for (const std::string& value : {"cs_" + secret, "ac_" + handle, "rt_" + handle, "at_" + handle, jwt,
                                   "eyJhbGciOiJub25lIn0.eyJTU1MiOjF9."s,
                                   "it said \"cs_" + secret + "\" and cs_" + secret + "\n/" + jwt}) {
    for (const std::string& text :
         {stored([&](AuditRecord& record) { record.client = value; }),
          stored([&](AuditRecord& record) { record.agent = record.resource = record.node = value; }),
          stored(
              [&](AuditRecord& record) { record.chain.actors = {{.kind = ActorKind::kAgent, .id = value}}; }),
          stored([&](AuditRecord& record) { record.details.set("detail", value); })}) {
      EXPECT_EQ(text.find("SSS"), std::string::npos) << text;
      EXPECT_EQ(text.find("eyJ"), std::string::npos) << text;
      EXPECT_NE(text.find("[secret]"), std::string::npos) << text;
    }
  }
  // Names that begin alike, and ids of ours, stay.
  for (const std::string& value :
       {"at_home"s, "my-chat_assistant-of-the-production-department-in-the-west-1"s,
        "eyJohn.w.x.y"s.substr(0, 9), "01m85abcdefghjkmnpqrstvwxy"s, "_"s, "cs_"s, "a_b_c"s}) {
    EXPECT_NE(stored([&](AuditRecord& record) { record.client = value; }).find("\"" + value + "\""),
              std::string::npos);
  }
}

TEST_P(AuditStore, TheLatestTimeIsKept) {
  EXPECT_EQ(store().high_water(), UnixTime{0});
  run([](Transaction& transaction) { transaction.append_audit(make_record("e"), kNow + Seconds{10}); });
  EXPECT_EQ(store().high_water(), kNow + Seconds{10});
  run([](Transaction& transaction) { transaction.append_audit(make_record("e"), kNow); });
  EXPECT_EQ(store().high_water(), kNow + Seconds{10}) << "a clock that steps back does not take it along";
  reopen();
  EXPECT_EQ(store().high_water(), kNow + Seconds{10});
}

TEST_P(AuditStore, AStoreOfANewerReleaseIsRefused) {
  run([](Transaction& transaction) { transaction.append_audit(make_record("e"), kNow); });
  close();
  run_sql("UPDATE schema_version SET version = 99");
  try {
    const auto opened = open_store(connect());
    FAIL() << "opened a store of a newer release";
  } catch (const store::StoreUnavailable& refusal) {
    EXPECT_NE(std::string(refusal.what()).find("newer"), std::string::npos) << refusal.what();
    EXPECT_NE(std::string(refusal.what()).find("99"), std::string::npos) << refusal.what();
  }
  run_sql("UPDATE schema_version SET version = 4");
  reopen();
  EXPECT_EQ(verified_length(whole_log(store())), 1) << "the refusal changed nothing";
}

TEST_P(AuditStore, ADamagedStoreIsRefusedAndNotRepairedByGuessing) {
  run([](Transaction& transaction) { EXPECT_TRUE(transaction.put_agent(make_agent("a"), kNow)); });
  close();
  run_sql("DELETE FROM head");
  EXPECT_THROW(open_store(connect()), store::StoreUnavailable);
}

TEST_P(AuditStore, AReaderSeesNothingOfAWorkBeforeItsCommit) {
  run([](Transaction& transaction) { transaction.append_audit(make_record("first"), kNow); });
  Gate inside;
  Gate go_on;
  std::thread writer([&] {
    run([&](Transaction& transaction) {
      transaction.append_audit(make_record("second"), kNow);
      transaction.insert_node(make_node("n"));
      inside.open();
      go_on.wait();
    });
  });
  inside.wait();
  EXPECT_EQ(whole_log(store()).size(), 1U);
  EXPECT_EQ(node("n"), nullptr);
  go_on.open();
  writer.join();
  EXPECT_EQ(whole_log(store()).size(), 2U);
  EXPECT_NE(node("n"), nullptr);
}

}  // namespace
}  // namespace behalf::test
