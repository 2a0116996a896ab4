// Two Store objects over one PostgreSQL database, as two servers have it: what one changed, the other decides
// by, at once; and whatever is to happen once happens once.
#include <atomic>
#include <barrier>
#include <future>

#include "store/store_contract.h"

namespace behalf::test {
namespace {

using store::RotatedRefresh;
using store::SpentCode;
using store::Store;
using store::Transaction;

class TwoStores : public testing::Test {
 protected:
  void SetUp() override {
    REQUIRE_POSTGRES();
    address_ = PostgresCluster::shared()->fresh_database();
    one_ = open();
    two_ = open();
  }
  std::unique_ptr<Store> open() { return open_store(store::postgres_connector(address_)); }
  Store& one() { return *one_; }
  Store& two() { return *two_; }
  const std::string& address() const { return address_; }

  // How many of `threads` calls, half of them on either store, say they were the one.
  template <class Attempt>
  int winners(int threads, Attempt attempt) {
    std::atomic<int> count{0};
    std::barrier start(threads);
    std::vector<std::thread> running;
    for (int i = 0; i < threads; ++i) {
      running.emplace_back([&, i] {
        Store& mine = i % 2 == 0 ? one() : two();
        start.arrive_and_wait();
        bool won = false;
        mine.run([&](Transaction& transaction) { won = attempt(transaction, i); });
        if (won) ++count;
      });
    }
    for (std::thread& thread : running) thread.join();
    return count;
  }

 private:
  std::string address_;
  std::unique_ptr<Store> one_;
  std::unique_ptr<Store> two_;
};

TEST_F(TwoStores, ARegistryChangeOfOneIsDecidedOnByTheOther) {
  one().run([](Transaction& transaction) {
    EXPECT_TRUE(transaction.put_agent(make_agent("a"), kNow));
    EXPECT_TRUE(transaction.put_client(make_client("c"), kNow));
    EXPECT_TRUE(transaction.put_user(make_user("u", "u"), kNow));
    transaction.put_resource(make_resource("https://r.example/"), kNow);
  });
  two().run([](Transaction& transaction) {
    EXPECT_NE(transaction.find_agent(AgentId("a"s)), nullptr);
    EXPECT_NE(transaction.find_client(ClientId("c"s)), nullptr);
    EXPECT_NE(transaction.find_user(UserId("u"s)), nullptr);
    EXPECT_NE(transaction.find_resource(ResourceId("https://r.example/"s)), nullptr);
  });
  EXPECT_NE(two().registry().find_agent("a"), nullptr);
  one().run([](Transaction& transaction) {
    Agent agent = make_agent("a");
    agent.status = Status::kSuspended;
    agent.epoch = 2;
    Client client = make_client("c");
    client.status = Status::kDeleted;
    User user = make_user("u", "u");
    user.status = Status::kSuspended;
    EXPECT_TRUE(transaction.put_agent(agent, kNow) && transaction.put_client(client, kNow) &&
                transaction.put_user(user, kNow));
    transaction.remove_resource(ResourceId("https://r.example/"s), kNow);
  });
  two().run([](Transaction& transaction) {
    EXPECT_FALSE(transaction.find_agent(AgentId("a"s))->is_active());
    EXPECT_EQ(transaction.find_agent(AgentId("a"s))->epoch, 2);
    EXPECT_EQ(transaction.find_client(ClientId("c"s)), nullptr);
    EXPECT_FALSE(transaction.find_user(UserId("u"s))->is_active());
    EXPECT_EQ(transaction.find_resource(ResourceId("https://r.example/"s)), nullptr);
    EXPECT_FALSE(transaction.put_user(make_user("a", "x"), kNow)) << "one namespace across both";
    EXPECT_FALSE(transaction.put_user(make_user("u2", "u"), kNow)) << "one set of usernames across both";
  });
  EXPECT_FALSE(two().registry().find_agent("a")->is_active());
}

TEST_F(TwoStores, AnEndByOneIsAnEndForTheOtherThatHadItInMemory) {
  two().run([](Transaction& transaction) {
    transaction.insert_grant(make_grant("g"));
    transaction.insert_node(make_node("1", NodeKind::kAccessToken, "1", "", "g"));
    transaction.insert_node(make_node("2", NodeKind::kAccessToken, "1", "1", "g"));
    transaction.insert_node(make_node("3", NodeKind::kAccessToken, "1", "1", "g"));
  });
  const auto ended_for = [](Store& store, const std::string& id) {
    bool ended = false;
    store.run(
        [&](Transaction& transaction) { ended = transaction.find_node(NodeId(id))->ended_at.has_value(); });
    return ended;
  };
  const auto grant_ended_for = [](Store& store) {
    bool ended = false;
    store.run([&](Transaction& transaction) {
      ended = transaction.find_grant(GrantId("g"s))->ended_at.has_value();
    });
    return ended;
  };
  for (Store* store : {&one(), &two()}) {
    for (const char* id : {"1", "2", "3"}) EXPECT_FALSE(ended_for(*store, id));
    EXPECT_FALSE(grant_ended_for(*store));
  }
  one().run([](Transaction& transaction) {
    EXPECT_EQ(ids_of(transaction.end_subtree(NodeId("2"s), kNow, "x")), (Ids{"2"}));
  });
  EXPECT_TRUE(ended_for(two(), "2"));
  EXPECT_FALSE(ended_for(two(), "3"));
  one().run([](Transaction& transaction) { EXPECT_TRUE(transaction.end_grant(GrantId("g"s), kNow, "x")); });
  EXPECT_TRUE(grant_ended_for(two()));
  two().run([](Transaction& transaction) { EXPECT_FALSE(transaction.end_grant(GrantId("g"s), kNow, "x")); });
  one().run([](Transaction& transaction) {
    EXPECT_EQ(ids_of(transaction.end_grant_nodes(GrantId("g"s), kNow, "x")), (Ids{"1", "3"}));
  });
  EXPECT_TRUE(ended_for(two(), "1"));
  EXPECT_TRUE(ended_for(two(), "3"));
}

TEST_F(TwoStores, OneWinnerAcrossBoth) {
  constexpr int kThreads = 8;
  for (int round = 0; round < 10; ++round) {
    const std::string n = std::to_string(round);
    one().run([&](Transaction& transaction) {
      transaction.insert_node(make_code("code" + n));
      transaction.insert_node(make_refresh("refresh" + n));
      transaction.insert_request(make_request("request" + n));
      transaction.insert_grant(make_grant("grant" + n));
    });
    EXPECT_EQ(winners(kThreads,
                      [&](Transaction& transaction, int) {
                        return transaction.spend_code(NodeId("code" + n), "hash-of-code" + n, kNow).outcome ==
                               SpentCode::Outcome::kSpent;
                      }),
              1);
    EXPECT_EQ(winners(kThreads,
                      [&](Transaction& transaction, int i) {
                        return transaction
                                   .rotate_refresh_token(NodeId("refresh" + n), "hash-of-refresh" + n,
                                                         NodeId("s" + std::to_string(i)), kNow)
                                   .outcome == RotatedRefresh::Outcome::kRotated;
                      }),
              1);
    EXPECT_EQ(winners(kThreads, [&](Transaction& transaction,
                                    int) { return transaction.remember_jti("issuer", "jti" + n, kNow); }),
              1);
    EXPECT_EQ(
        winners(kThreads, [&](Transaction& transaction,
                              int) { return transaction.complete_request(RequestId("request" + n), kNow); }),
        1);
    EXPECT_EQ(winners(kThreads, [&](Transaction& transaction,
                                    int) { return transaction.end_grant(GrantId("grant" + n), kNow, "x"); }),
              1);
  }
}

TEST_F(TwoStores, TheLogOfBothIsOneChainWithoutGaps) {
  constexpr int kThreads = 8;
  constexpr int kEach = 25;
  std::vector<std::thread> running;
  for (int i = 0; i < kThreads; ++i) {
    running.emplace_back([&, i] {
      Store& mine = i % 2 == 0 ? one() : two();
      for (int j = 0; j < kEach; ++j) {
        mine.run([&](Transaction& transaction) {
          transaction.append_audit(make_record(i % 2 == 0 ? "of.one" : "of.two"), kNow + Seconds{j});
        });
      }
    });
  }
  for (std::thread& thread : running) thread.join();
  const std::vector<LoggedRecord> log = whole_log(one());
  EXPECT_EQ(verified_length(log), kThreads * kEach);
  size_t changes = 0;
  for (size_t i = 1; i < log.size(); ++i) {
    changes += (log[i].json.find("of.one") == std::string::npos) !=
               (log[i - 1].json.find("of.one") == std::string::npos);
  }
  EXPECT_GT(changes, 2U) << "the two did write in turns";
  two().run([](Transaction&) {});
  EXPECT_EQ(two().high_water(), kNow + Seconds{kEach - 1}) << "the time that the other saw counts too";
}

TEST_F(TwoStores, AFaultOfOneDoesNotDisturbTheOther) {
  EXPECT_THROW(one().run([](Transaction& transaction) {
    EXPECT_TRUE(transaction.put_agent(make_agent("a"), kNow));
    transaction.append_audit(make_record("lost"), kNow);
    throw std::runtime_error("a fault");
  }),
               std::runtime_error);
  two().run([](Transaction& transaction) {
    EXPECT_EQ(transaction.find_agent(AgentId("a"s)), nullptr);
    EXPECT_TRUE(transaction.put_client(make_client("a"), kNow)) << "the id is still free";
    transaction.append_audit(make_record("kept"), kNow);
  });
  one().run([](Transaction& transaction) {
    EXPECT_FALSE(transaction.put_agent(make_agent("a"), kNow));
    EXPECT_NE(transaction.find_client(ClientId("a"s)), nullptr);
  });
  EXPECT_EQ(verified_length(whole_log(one())), 1);
}

TEST(OpeningTogether, TwoServersThatStartOnAnEmptyDatabaseBothStart) {
  REQUIRE_POSTGRES();
  for (int round = 0; round < 5; ++round) {
    const std::string address = PostgresCluster::shared()->fresh_database();
    std::barrier start(2);
    std::vector<std::string> failures(2);
    std::vector<std::thread> running;
    for (int i = 0; i < 2; ++i) {
      running.emplace_back([&, i] {
        try {
          auto connector = store::postgres_connector(address);
          start.arrive_and_wait();
          const auto opened = open_store(std::move(connector));
          opened->run(
              [](Transaction& transaction) { transaction.append_audit(make_record("started"), kNow); });
        } catch (const std::exception& fault) {
          failures[static_cast<size_t>(i)] = fault.what();
        }
      });
    }
    for (std::thread& thread : running) thread.join();
    EXPECT_EQ(failures[0], "");
    EXPECT_EQ(failures[1], "");
    EXPECT_EQ(verified_length(whole_log(*open_store(store::postgres_connector(address)))), 2);
  }
}

Task<int64_t> newest_when_caught_up(Store& store) {
  co_await store.revocations().caught_up();
  co_return store.revocations().newest();
}
int64_t wait_for(Task<int64_t> task) {
  std::promise<int64_t> promise;
  start(std::move(task), [&](std::optional<int64_t> value, std::exception_ptr fault) {
    if (fault)
      promise.set_exception(fault);
    else
      promise.set_value(*value);
  });
  return promise.get_future().get();
}

TEST_F(TwoStores, WhatOneRevokedTheOtherKnowsOnceItHasCaughtUpAndSoonByItself) {
  one().run([](Transaction& transaction) { EXPECT_TRUE(transaction.put_user(make_user("u", "u"), kNow)); });
  const auto renew = [](Store& store, int64_t epoch) {
    store.run([&](Transaction& transaction) {
      User user = make_user("u", "u");
      user.epoch = epoch;
      EXPECT_TRUE(transaction.put_user(user, kNow));
    });
  };
  for (int64_t i = 1; i <= 20; ++i) {
    Store& revoking = i % 2 == 0 ? one() : two();
    Store& asking = i % 2 == 0 ? two() : one();
    renew(revoking, i + 1);
    EXPECT_EQ(wait_for(newest_when_caught_up(asking)), i)
        << "acknowledged there before it was asked for here";
    const auto items = asking.revocations().after(0, 100);
    ASSERT_TRUE(items);
    ASSERT_EQ(items->size(), static_cast<size_t>(i)) << "without a gap and nothing twice";
    for (int64_t k = 0; k < i; ++k) EXPECT_EQ((*items)[static_cast<size_t>(k)]->sequence, k + 1);
  }
  std::thread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    renew(one(), 100);
  });
  const auto began = std::chrono::steady_clock::now();
  two().revocations().wait_for_more(20, std::chrono::seconds(20));
  EXPECT_EQ(two().revocations().newest(), 21);
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(5));
  later.join();
}

TEST_F(TwoStores, AServerThatStopsDoesNotPretendToHaveCaughtUp) {
  two().revocations().close();
  EXPECT_THROW(wait_for(newest_when_caught_up(two())), store::StoreUnavailable);
}

}  // namespace
}  // namespace behalf::test
