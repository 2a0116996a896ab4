// Many threads on each single-use verb of the store, round after round: exactly one is told that it was the
// one, and what the store remembers afterwards is what that one did.
#include "race/race.h"
#include "store/store_contract.h"

namespace behalf::test {
namespace {

using store::RotatedRefresh;
using store::SpentCode;
using store::Transaction;

constexpr int kThreads = 16;
constexpr int kRounds = 30;

class SingleUseRace : public StoreContract {
 protected:
  // The rounds, with threads that live through all of them. `attempt` says whether it was the one.
  void expect_one_winner_a_round(
      const std::function<void(Transaction&, const std::string& round)>& prepare,
      const std::function<bool(Transaction&, const std::string& round, int thread)>& attempt,
      const std::function<void(const std::string& round, int winner)>& check = {}) {
    run([&](Transaction& transaction) {
      for (int round = 0; round < kRounds; ++round) prepare(transaction, std::to_string(round));
    });
    std::vector<std::atomic<int>> winners(kRounds);
    std::vector<std::atomic<int>> last_winner(kRounds);
    std::barrier together(kThreads);
    all_at_once(kThreads, [&](int thread) {
      for (int round = 0; round < kRounds; ++round) {
        together.arrive_and_wait();
        bool won = false;
        run([&](Transaction& transaction) { won = attempt(transaction, std::to_string(round), thread); });
        if (!won) continue;
        ++winners[static_cast<size_t>(round)];
        last_winner[static_cast<size_t>(round)] = thread;
      }
    });
    for (int round = 0; round < kRounds; ++round) {
      EXPECT_EQ(winners[static_cast<size_t>(round)], 1) << "in round " << round;
      if (check) check(std::to_string(round), last_winner[static_cast<size_t>(round)]);
    }
  }
};
INSTANTIATE_TEST_SUITE_P(Race, SingleUseRace, testing::Values(Kind::sqlite, Kind::postgres), name_of);

TEST_P(SingleUseRace, SpendCode) {
  expect_one_winner_a_round(
      [](Transaction& transaction, const std::string& n) { transaction.insert_node(make_code(n)); },
      [](Transaction& transaction, const std::string& n, int thread) {
        const SpentCode result = transaction.spend_code(NodeId(n), "hash-of-" + n, kNow + Seconds{thread});
        EXPECT_NE(result.outcome, SpentCode::Outcome::kUnknown);
        if (result.outcome != SpentCode::Outcome::kSpent) return false;
        transaction.insert_node(
            make_node("access-" + n, NodeKind::kAccessToken, n, n));  // a second winner would fail here
        return true;
      },
      [&](const std::string& n, int winner) {
        EXPECT_EQ(node(n)->spent_at, kNow + Seconds{winner});
        EXPECT_NE(node("access-" + n), nullptr);
      });
}

TEST_P(SingleUseRace, RotateRefreshToken) {
  expect_one_winner_a_round(
      [](Transaction& transaction, const std::string& n) { transaction.insert_node(make_refresh(n)); },
      [](Transaction& transaction, const std::string& n, int thread) {
        const NodeId mine("successor-" + std::to_string(thread));
        const RotatedRefresh result = transaction.rotate_refresh_token(NodeId(n), "hash-of-" + n, mine, kNow);
        EXPECT_NE(result.outcome, RotatedRefresh::Outcome::kUnknown);
        return result.outcome == RotatedRefresh::Outcome::kRotated;
      },
      [&](const std::string& n, int winner) {
        EXPECT_EQ(node(n)->successor.text(), "successor-" + std::to_string(winner));
      });
}

TEST_P(SingleUseRace, RememberJti) {
  expect_one_winner_a_round([](Transaction&, const std::string&) {},
                            [](Transaction& transaction, const std::string& n, int) {
                              return transaction.remember_jti("issuer", "jti-" + n, kNow);
                            });
}

TEST_P(SingleUseRace, CompleteRequest) {
  expect_one_winner_a_round(
      [](Transaction& transaction, const std::string& n) {
        transaction.insert_request(make_request(n, "browser"));
      },
      [](Transaction& transaction, const std::string& n, int thread) {
        return transaction.complete_request(RequestId(n), kNow + Seconds{thread});
      },
      [&](const std::string& n, int winner) {
        const auto request = ask_reader(
            [&](store::ReadTransaction& transaction) { return transaction.find_request(RequestId(n)); });
        EXPECT_EQ(request->completed_at, kNow + Seconds{winner});
      });
}

TEST_P(SingleUseRace, BindRequestToOneOfManyBrowsers) {
  expect_one_winner_a_round(
      [](Transaction& transaction, const std::string& n) { transaction.insert_request(make_request(n)); },
      [](Transaction& transaction, const std::string& n, int thread) {
        return transaction.bind_request(RequestId(n), "browser-" + std::to_string(thread));
      });
}

TEST_P(SingleUseRace, EndGrant) {
  expect_one_winner_a_round(
      [](Transaction& transaction, const std::string& n) { transaction.insert_grant(make_grant(n)); },
      [](Transaction& transaction, const std::string& n, int thread) {
        return transaction.end_grant(GrantId(n), kNow, std::to_string(thread));
      },
      [&](const std::string& n, int winner) {
        const auto grant = ask_reader(
            [&](store::ReadTransaction& transaction) { return transaction.find_grant(GrantId(n)); });
        EXPECT_EQ(grant->ended_cause, std::to_string(winner));
      });
}

// Works that fail share batches with works that do not: the fault is the failing one's alone, and nobody's
// number is lost.
TEST_P(SingleUseRace, FaultsBesideOthers) {
  std::atomic<int> faults{0};
  all_at_once(kThreads, [&](int thread) {
    for (int round = 0; round < kRounds; ++round) {
      const std::string id = std::to_string(thread) + "-" + std::to_string(round);
      const bool fails = (thread + round) % 4 == 0;
      try {
        run([&](Transaction& transaction) {
          transaction.insert_grant(make_grant(id));
          transaction.append_audit(make_record(fails ? "lost" : "kept", id), kNow);
          if (fails) throw std::runtime_error("a fault");
        });
      } catch (const std::runtime_error&) {
        ++faults;
      }
    }
  });
  EXPECT_EQ(faults, kThreads * kRounds / 4 + (kThreads * kRounds % 4 != 0 ? 1 : 0));
  const std::vector<LoggedRecord> log = whole_log(store());
  EXPECT_EQ(verified_length(log), kThreads * kRounds - faults);
  for (const LoggedRecord& record : log) EXPECT_EQ(record.json.find("lost"), std::string::npos);
}

// Readers and the registry's view while a writer changes both: never a half of a change.
TEST_P(SingleUseRace, ReadersBesideAWriter) {
  const auto write = [&](int64_t n) {
    run([&](Transaction& transaction) {
      Agent agent = make_agent("a");
      agent.version = n;
      User user = make_user("u", "u");
      user.version = n;
      User second = make_user("v", "v");
      second.version = n;
      EXPECT_TRUE(transaction.put_agent(agent, kNow) && transaction.put_user(user, kNow) &&
                  transaction.put_user(second, kNow));
    });
  };
  write(1);
  std::atomic<int> writing{1};
  all_at_once(8, [&](int thread) {
    if (thread == 0) {
      for (int64_t n = 2; n <= 60; ++n) write(n);
      writing = 0;
      return;
    }
    int64_t last = 1;
    while (writing != 0) {
      int64_t first = 0;
      int64_t second = 0;
      store().run_read([&](store::ReadTransaction& transaction) {
        first = transaction.find_user(UserId("u"s))->version;
        second = transaction.find_user(UserId("v"s))->version;
      });
      EXPECT_EQ(first, second);
      const int64_t seen = store().registry().find_agent("a")->version;
      EXPECT_GE(seen, last) << "the view goes forward only";
      last = seen;
    }
  });
  EXPECT_EQ(store().registry().find_agent("a")->version, 60);
}

}  // namespace
}  // namespace behalf::test
