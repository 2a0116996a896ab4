// What the committer promises: who wins, what survives a fault, when callers are resumed and what they are
// told.
//
// The first part runs on both databases. The second runs on a scripted database that writes down what is
// asked of it, where order and failures of the database itself are the point.
#include "store/committer.h"

#include <atomic>
#include <optional>
#include <set>
#include <thread>
#include <vector>

#include "base/task.h"
#include "store/database_contract.h"

namespace behalf::test {
namespace {

using store::Committer;
using store::CommitterHooks;
using store::Database;
using store::Row;
using store::StoreConflict;
using store::StoreUnavailable;

// What became of one work, as its caller saw it.
struct Outcome {
  std::string decided = "unheard";
  std::string durable = "unheard";
  Loop* loop = nullptr;
};

std::string in_words(const std::exception_ptr& fault) {
  try {
    std::rethrow_exception(fault);
  } catch (const StoreUnavailable&) {
    return "unavailable";
  } catch (const std::exception& other) {
    return other.what();
  }
}

Task<int> follow(Committer::Pending pending, Outcome& outcome) {
  try {
    co_await pending.decided();
    outcome.decided = "yes";
  } catch (...) {
    outcome.decided = in_words(std::current_exception());
  }
  try {
    co_await pending.durable();
    outcome.durable = "yes";
  } catch (...) {
    outcome.durable = in_words(std::current_exception());
  }
  outcome.loop = Loop::current();
  co_return 0;
}

// Submits from `loop` and opens `done` once the caller has heard everything.
void submit_on(Loop& loop, Committer& committer, std::function<void(Database&)> work, Outcome& outcome,
               Gate& done) {
  loop.post([&, work = std::move(work)]() mutable {
    start(follow(committer.submit(std::move(work)), outcome),
          [&](auto, const std::exception_ptr&) { done.open(); });
  });
}

// Keeps the committing thread inside a work, so that what is submitted meanwhile forms one batch.
class Hold {
 public:
  explicit Hold(Committer& committer)
      : pending_(committer.submit([this](Database&) {
          entered_.open();
          leave_.wait();
        })) {
    entered_.wait();
  }
  void end() { leave_.open(); }

 private:
  Gate entered_;
  Gate leave_;
  Committer::Pending pending_;
};

void insert(Database& database, int64_t id) {
  database.execute({"INSERT INTO items (id, value) VALUES ($1, 0)"}, {id});
}

class CommitterContract : public OnBothDatabases {
 protected:
  void SetUp() override {
    OnBothDatabases::SetUp();
    if (HasFatalFailure() || IsSkipped()) return;
    open();
    committer_->run([](Database& database) {
      database.run_script("CREATE TABLE items (id BIGINT PRIMARY KEY, value BIGINT NOT NULL)");
    });
  }
  void open(CommitterHooks hooks = {}) {
    committer_.reset();
    reader_.reset();
    auto connector = connect();
    reader_ = connector->open_reader();
    committer_ = std::make_unique<Committer>(std::move(connector), std::move(hooks));
  }
  int64_t count() { return one_integer(*reader_, {"SELECT count(*) FROM items"}); }

  std::unique_ptr<Database> reader_;
  std::unique_ptr<Committer> committer_;
};
INSTANTIATE_TEST_SUITE_P(Both, CommitterContract, testing::Values(Kind::sqlite, Kind::postgres), name_of);

// Several servers, or one that restarts: SQLite has neither.
class CommitterOnPostgres : public CommitterContract {};
INSTANTIATE_TEST_SUITE_P(Only, CommitterOnPostgres, testing::Values(Kind::postgres), name_of);

TEST_P(CommitterContract, OfManyThreadsOnOneConditionalUpdateExactlyOneWins) {
  constexpr int64_t kCodes = 20;
  committer_->run([](Database& database) {
    for (int64_t id = 0; id < kCodes; ++id) insert(database, id);
  });
  std::atomic<int> wins{0};
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 8; ++thread) {
    threads.emplace_back([&] {
      for (int64_t id = 0; id < kCodes; ++id) {
        bool won = false;
        committer_->run([&won, id](Database& database) {
          won = database.query({"UPDATE items SET value = 1 WHERE id = $1 AND value = 0 RETURNING id"}, {id},
                               ignore) == 1;
        });
        if (won) ++wins;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wins, kCodes);
}

TEST_P(CommitterOnPostgres, TwoServersOnOneDatabaseAlsoHaveOneWinner) {
  committer_->run([](Database& database) { insert(database, 1); });
  Committer other(connect(), {});
  std::atomic<int> wins{0};
  const auto spend = [&](Committer& committer) {
    for (int64_t value = 0; value < 100; ++value) {
      bool won = false;
      committer.run([&won, value](Database& database) {
        won = database.query({"UPDATE items SET value = $1 + 1 WHERE id = 1 AND value = $1 RETURNING id"},
                             {value}, ignore) == 1;
      });
      if (won) ++wins;
    }
  };
  std::thread here([&] { spend(*committer_); });
  std::thread there([&] { spend(other); });
  here.join();
  there.join();
  EXPECT_EQ(wins, one_integer(*reader_, {"SELECT value FROM items WHERE id = 1"}));
  EXPECT_GT(wins, 0);
}

TEST_P(CommitterContract, AThrowingWorkHarmsOnlyItselfAndItsMatesHappenOnce) {
  constexpr int kWorks = 50;
  const std::set<int> faulty = {0, 17, 18, 49};
  std::vector<Outcome> outcomes(kWorks);
  std::vector<Gate> done(kWorks);
  ThreadLoop loop;
  Hold hold(*committer_);
  for (int i = 0; i < kWorks; ++i) {
    submit_on(
        loop, *committer_,
        [&, i](Database& database) {
          insert(database, i);
          if (faulty.contains(i)) throw std::runtime_error("fault " + std::to_string(i));
        },
        outcomes[static_cast<size_t>(i)], done[static_cast<size_t>(i)]);
  }
  Gate submitted;
  loop.post([&] { submitted.open(); });
  submitted.wait();
  hold.end();
  for (Gate& gate : done) gate.wait();
  for (int i = 0; i < kWorks; ++i) {
    const std::string expected = faulty.contains(i) ? "fault " + std::to_string(i) : "yes";
    EXPECT_EQ(outcomes[static_cast<size_t>(i)].decided, expected);
    EXPECT_EQ(outcomes[static_cast<size_t>(i)].durable, expected);
    EXPECT_EQ(one_integer(*reader_, {"SELECT count(*) FROM items WHERE id = $1"}, {int64_t{i}}),
              faulty.contains(i) ? 0 : 1);
  }
}

TEST_P(CommitterContract, AFaultThatTheDatabaseFindsIsHandedToItsOwnCaller) {
  // On PostgreSQL the duplicate is sent ahead and surfaces while a later work runs.
  constexpr int kWorks = 10;
  std::vector<Outcome> outcomes(kWorks);
  std::vector<Gate> done(kWorks);
  ThreadLoop loop;
  Hold hold(*committer_);
  for (int i = 0; i < kWorks; ++i) {
    submit_on(
        loop, *committer_,
        [i](Database& database) {
          insert(database, i);
          if (i == 4) insert(database, i);
          if (i % 2 == 1) one_integer(database, {"SELECT count(*) FROM items WHERE id = $1"}, {int64_t{i}});
        },
        outcomes[static_cast<size_t>(i)], done[static_cast<size_t>(i)]);
  }
  Gate submitted;
  loop.post([&] { submitted.open(); });
  submitted.wait();
  hold.end();
  for (Gate& gate : done) gate.wait();
  for (int i = 0; i < kWorks; ++i) EXPECT_EQ(outcomes[static_cast<size_t>(i)].durable == "yes", i != 4) << i;
  EXPECT_EQ(count(), kWorks - 1);
}

TEST_P(CommitterContract, ARefusalIsAValueAndItsEffectsCommit) {
  std::optional<std::string> refusal;
  committer_->run([&](Database& database) {
    insert(database, 1);  // what a refusal leaves behind: a record, a revocation
    refusal = "refused";
  });
  EXPECT_EQ(refusal, "refused");
  EXPECT_EQ(count(), 1);
}

TEST_P(CommitterContract, DurableMeansThatOthersSeeIt) {
  ThreadLoop loop;
  for (int64_t id = 0; id < 50; ++id) {
    Outcome outcome;
    Gate done;
    submit_on(
        loop, *committer_, [id](Database& database) { insert(database, id); }, outcome, done);
    done.wait();
    EXPECT_EQ(outcome.durable, "yes");
    EXPECT_EQ(outcome.loop, &loop) << "resumed on the caller's loop";
    EXPECT_EQ(count(), id + 1);
  }
}

TEST_P(CommitterContract, DestructionFinishesWhatIsQueued) {
  for (int64_t id = 0; id < 1000; ++id) {
    static_cast<void>(committer_->submit([id](Database& database) { insert(database, id); }));
  }
  committer_.reset();
  EXPECT_EQ(count(), 1000);
}

TEST_P(CommitterContract, ManyCallersOnManyLoopsAllHearAndAllWorksHappenOnce) {
  constexpr int64_t kWorks = 2000;
  std::vector<Outcome> outcomes(kWorks);
  std::vector<Gate> done(kWorks);
  ThreadLoop loops[3];
  for (int64_t id = 0; id < kWorks; ++id) {
    submit_on(
        loops[id % 3], *committer_, [id](Database& database) { insert(database, id); },
        outcomes[static_cast<size_t>(id)], done[static_cast<size_t>(id)]);
  }
  for (Gate& gate : done) gate.wait();
  for (int64_t id = 0; id < kWorks; ++id) {
    EXPECT_EQ(outcomes[static_cast<size_t>(id)].durable, "yes");
    EXPECT_EQ(outcomes[static_cast<size_t>(id)].loop, &loops[id % 3]);
  }
  EXPECT_EQ(count(), kWorks);
}

TEST_P(CommitterContract, HooksBracketEveryTransactionAndTheirRowsCommitWithIt) {
  int64_t head = 0;
  CommitterHooks hooks;
  hooks.begin_batch = [&](Database& database) {
    head = one_integer(database, {"UPDATE items SET value = value WHERE id = 0 RETURNING value"});
  };
  hooks.end_batch = [&](Database& database) {
    database.execute({"UPDATE items SET value = $1 WHERE id = 0"}, {head});
  };
  committer_->run([](Database& database) { insert(database, 0); });
  open(std::move(hooks));
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&] {
      for (int i = 0; i < 25; ++i) {
        committer_->run([&](Database&) { ++head; });
        EXPECT_THROW(committer_->run([&](Database&) {
          ++head;
          throw std::runtime_error("fault");
        }),
                     std::runtime_error);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(one_integer(*reader_, {"SELECT value FROM items WHERE id = 0"}), 100)
      << "faults left no trace in the head";
}

TEST_P(CommitterOnPostgres, ARestartFailsAtMostOneBatch) {
  committer_->run([](Database& database) { insert(database, 1); });
  PostgresCluster::shared()->restart_immediately();
  committer_->run([](Database& database) { insert(database, 2); });
  PostgresCluster::shared()->stop();
  EXPECT_THROW(committer_->run([](Database& database) { insert(database, 3); }), StoreUnavailable);
  PostgresCluster::shared()->start();
  committer_->run([](Database& database) { insert(database, 4); });
  committer_->run(
      [](Database& database) { EXPECT_EQ(one_integer(database, {"SELECT sum(id) FROM items"}), 7); });
}

// A database that writes down what happens and fails on demand. `fail` is asked before each step.
struct Script {
  std::vector<std::string> log;
  std::function<void(const std::string& step)> fail = [](const std::string&) {};
};

class ScriptedDatabase final : public Database {
 public:
  explicit ScriptedDatabase(Script& script) : script_(script) {}
  void execute(Statement statement, std::initializer_list<store::Parameter>) override { step(statement.sql); }
  size_t query(Statement statement, std::initializer_list<store::Parameter>,
               const std::function<void(const Row&)>&) override {
    step(statement.sql);
    return 0;
  }
  size_t change(Statement statement, std::initializer_list<store::Parameter>) override {
    step(statement.sql);
    return 0;
  }
  void flush() override { step("flush"); }
  void begin() override { step("begin"); }
  void begin_read() override {}
  void commit() override { step("commit"); }
  void rollback() noexcept override { script_.log.push_back("rollback"); }
  void maintain() override { step("maintain"); }
  void run_script(const std::string&) override {}
  bool is_postgres() const override { return false; }

 private:
  void step(const std::string& name) {
    script_.log.push_back(name);
    script_.fail(name);
  }
  Script& script_;
};

class ScriptedConnector final : public store::Connector {
 public:
  explicit ScriptedConnector(Script& script) : script_(script) {}
  std::unique_ptr<Database> open_writer() override {
    script_.fail("open");
    return std::make_unique<ScriptedDatabase>(script_);
  }
  std::unique_ptr<Database> open_reader() override { return nullptr; }

 private:
  Script& script_;
};

using Log = std::vector<std::string>;

class CommitterScript : public testing::Test {
 protected:
  void open() {
    CommitterHooks hooks;
    hooks.begin_batch = [this](Database&) { script_.log.push_back("begin_batch"); };
    hooks.end_batch = [this](Database&) { script_.log.push_back("end_batch"); };
    hooks.committed = [this] { script_.log.push_back("committed"); };
    hooks.rolled_back = [this] { script_.log.push_back("rolled_back"); };
    committer_ = std::make_unique<Committer>(std::make_unique<ScriptedConnector>(script_), std::move(hooks));
  }
  // Throws `Fault` the first `times` times that `step` happens.
  template <class Fault>
  void fail(std::string step, int times) {
    script_.fail = [step = std::move(step), times](const std::string& now) mutable {
      if (now == step && times > 0) {
        --times;
        throw Fault("scripted");
      }
    };
  }
  Log log() {
    committer_.reset();  // afterwards the log is ours alone
    return script_.log;
  }

  Script script_;
  std::unique_ptr<Committer> committer_;
};

const Log kWhole = {"begin", "begin_batch", "work", "end_batch", "flush", "commit", "committed", "maintain"};

std::function<void(Database&)> work() {
  return [](Database& database) { database.execute({"work"}, {}); };
}

TEST_F(CommitterScript, ATransactionHasItsStepsInOrder) {
  open();
  committer_->run(work());
  EXPECT_EQ(log(), kWhole);
}

TEST_F(CommitterScript, WithoutALoopCallersGoOnOnTheCommittingThreadBetweenTheSteps) {
  open();
  Outcome outcome;
  Gate done;
  std::thread::id resumed_on;
  {
    Hold hold(*committer_);
    start(follow(committer_->submit(work()), outcome), [&](auto, const std::exception_ptr&) {
      resumed_on = std::this_thread::get_id();
      script_.log.push_back("heard");
      done.open();
    });
    hold.end();
    done.wait();
  }
  EXPECT_EQ(outcome.durable, "yes");
  EXPECT_NE(resumed_on, std::this_thread::get_id());
  const Log all = log();
  const auto heard = std::find(all.begin(), all.end(), "heard");
  ASSERT_NE(heard, all.end());
  EXPECT_EQ(*(heard - 1), "committed");
  EXPECT_EQ(*(heard - 2), "commit");
}

TEST_F(CommitterScript, CallersHearTheDecisionBeforeTheCommitReturns) {
  Gate decided;
  script_.fail = [&](const std::string& step) {
    if (step == "commit") decided.wait();  // would never return if the decision came later
  };
  open();
  ThreadLoop loop;
  Gate durable;
  struct Caller {
    static Task<int> run(Committer::Pending pending, Gate& decided, Gate& durable) {
      co_await pending.decided();
      decided.open();
      co_await pending.durable();
      durable.open();
      co_return 0;
    }
  };
  loop.post([&] {
    start(Caller::run(committer_->submit(work()), decided, durable),
          [](auto, const std::exception_ptr& fault) { EXPECT_EQ(fault, nullptr); });
  });
  durable.wait();
}

TEST_F(CommitterScript, EachPhaseOfABatchIsOnePostToEachLoop) {
  ThreadLoop loop;
  int posts_of_ours = 0;
  script_.fail = [&](const std::string& step) {
    if (step != "commit") return;
    // All callers have heard the decision and wait for the commit once the loop has come to this.
    Gate reached;
    ++posts_of_ours;
    loop.post([&] { reached.open(); });
    reached.wait();
  };
  open();
  constexpr size_t kCallers = 40;
  std::vector<Outcome> outcomes(kCallers);
  std::vector<Gate> done(kCallers);
  Hold hold(*committer_);
  Gate submitted;
  loop.post([&] {
    for (size_t i = 0; i < kCallers; ++i) {
      start(follow(committer_->submit(work()), outcomes[i]),
            [&, i](auto, const std::exception_ptr&) { done[i].open(); });
    }
    submitted.open();
  });
  submitted.wait();
  const int before = loop.posts();
  hold.end();
  for (Gate& gate : done) gate.wait();
  EXPECT_EQ(loop.posts() - before - posts_of_ours, 2);
}

TEST_F(CommitterScript, ALateAwaitDoesNotSuspend) {
  open();
  Committer::Pending pending = committer_->submit(work());
  committer_->run(work());  // so the one before it is durable as well
  Outcome outcome;
  bool is_done = false;
  start(follow(std::move(pending), outcome), [&](auto, const std::exception_ptr&) { is_done = true; });
  EXPECT_TRUE(is_done);
  EXPECT_EQ(outcome.decided, "yes");
  EXPECT_EQ(outcome.durable, "yes");
}

TEST_F(CommitterScript, ALateAwaitOfAFaultRethrowsIt) {
  open();
  Committer::Pending pending = committer_->submit([](Database&) { throw std::runtime_error("fault"); });
  committer_->run(work());
  Outcome outcome;
  start(follow(std::move(pending), outcome), [](auto, const std::exception_ptr&) {});
  EXPECT_EQ(outcome.decided, "fault");
  EXPECT_EQ(outcome.durable, "fault");
}

TEST_F(CommitterScript, ATransactionLostToAnotherIsRunAgain) {
  fail<StoreConflict>("work", 2);
  open();
  committer_->run(work());
  const Log all = log();
  EXPECT_EQ(std::count(all.begin(), all.end(), "begin"), 3);
  EXPECT_EQ(std::count(all.begin(), all.end(), "rolled_back"), 2);
  EXPECT_EQ(std::count(all.begin(), all.end(), "commit"), 1);
}

TEST_F(CommitterScript, ATransactionThatKeepsLosingIsUnavailable) {
  fail<StoreConflict>("work", 1000);
  open();
  EXPECT_THROW(committer_->run(work()), StoreUnavailable);
  const Log all = log();
  EXPECT_EQ(std::count(all.begin(), all.end(), "begin"), 1 + Committer::kMaxConflicts);
  EXPECT_EQ(std::count(all.begin(), all.end(), "commit"), 0);
}

class UnavailableAt : public CommitterScript, public testing::WithParamInterface<const char*> {};
INSTANTIATE_TEST_SUITE_P(Steps, UnavailableAt, testing::Values("begin", "work", "flush"));

TEST_P(UnavailableAt, EveryCallerOfTheBatchIsToldAndTheNextBatchWorks) {
  open();
  std::vector<Outcome> outcomes(3);
  std::vector<Gate> done(3);
  Hold hold(*committer_);
  for (size_t i = 0; i < 3; ++i) {
    start(follow(committer_->submit(work()), outcomes[i]),
          [&, i](auto, const std::exception_ptr&) { done[i].open(); });
  }
  // The holding batch still has its flush before it; the committing thread reads this only after the hold's
  // end.
  int skipped = std::string_view(GetParam()) == "flush" ? 1 : 0;
  script_.fail = [step = std::string(GetParam()), skipped, is_spent = false](const std::string& now) mutable {
    if (now != step || is_spent || skipped-- > 0) return;
    is_spent = true;
    throw StoreUnavailable("scripted");
  };
  hold.end();
  for (Gate& gate : done) gate.wait();
  for (const Outcome& outcome : outcomes) {
    EXPECT_EQ(outcome.decided, "unavailable");
    EXPECT_EQ(outcome.durable, "unavailable");
  }
  EXPECT_NO_THROW(committer_->run(work()));
  const Log all = log();
  EXPECT_EQ(std::count(all.begin(), all.end(), "commit"), 2) << "the hold's and the last";
}

TEST_F(CommitterScript, AFailedCommitIsUnavailableAfterTheDecisionAndRunsNothingAgain) {
  fail<StoreConflict>("commit", 1);  // even what could be repeated before the decision
  open();
  Outcome outcome;
  Gate done;
  ThreadLoop loop;
  submit_on(loop, *committer_, work(), outcome, done);
  done.wait();
  EXPECT_EQ(outcome.decided, "yes");
  EXPECT_EQ(outcome.durable, "unavailable");
  const Log all = log();
  EXPECT_EQ(std::count(all.begin(), all.end(), "work"), 1);
  EXPECT_EQ(std::count(all.begin(), all.end(), "rolled_back"), 1);
  EXPECT_EQ(std::count(all.begin(), all.end(), "committed"), 0);
}

TEST_F(CommitterScript, AFailureInMaintenanceHarmsNoCaller) {
  fail<StoreUnavailable>("maintain", 1);
  open();
  EXPECT_NO_THROW(committer_->run(work()));
  EXPECT_NO_THROW(committer_->run(work()));
}

TEST_F(CommitterScript, AFullQueueIsUnavailableAtOnce) {
  open();
  Hold hold(*committer_);
  std::atomic<size_t> runs{0};
  for (size_t i = 0; i < Committer::kMaxQueue; ++i) {
    static_cast<void>(committer_->submit([&](Database&) { ++runs; }));
  }
  EXPECT_THROW(static_cast<void>(committer_->submit([&](Database&) { ++runs; })), StoreUnavailable);
  hold.end();
  const Log all = log();
  EXPECT_EQ(runs, Committer::kMaxQueue);
  EXPECT_EQ(static_cast<size_t>(std::count(all.begin(), all.end(), "commit")),
            1 + Committer::kMaxQueue / Committer::kMaxBatch);
}

TEST_F(CommitterScript, ADatabaseThatCannotBeOpenedIsReportedByTheConstructor) {
  fail<StoreUnavailable>("open", 1);
  EXPECT_THROW(open(), StoreUnavailable);
}

TEST_F(CommitterScript, RunInsideAWorkIsRefusedInsteadOfWaitingForItself) {
  open();
  EXPECT_THROW(committer_->run([&](Database&) { committer_->run(work()); }), std::logic_error);
}

TEST_F(CommitterScript, WhatAWorkCapturedIsGoneWhenItsCallerHears) {
  open();
  const auto captured = std::make_shared<int>(1);
  committer_->run([captured](Database&) {});
  EXPECT_EQ(captured.use_count(), 1);
}

}  // namespace
}  // namespace behalf::test
