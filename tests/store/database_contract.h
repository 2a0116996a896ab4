// What the store's tests share: opening either database, reading one value, and a loop to resume callers on.
//
// Contract tests run on both databases with one text of SQL. SQLite needs nothing; PostgreSQL is started when
// first wanted (support/postgres_fixture.h) and skipped where it is not installed.
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <deque>
#include <filesystem>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "base/loop.h"
#include "store/connect.h"
#include "support/postgres_fixture.h"

namespace behalf::test {

enum class Kind { sqlite, postgres };

inline std::string name_of(const testing::TestParamInfo<Kind>& parameter) {
  return parameter.param == Kind::sqlite ? "SQLite" : "PostgreSQL";
}

// A directory that goes with the test.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    if (::mkdtemp(path_.data()) == nullptr) throw std::runtime_error("cannot create " + path_);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_ = (std::filesystem::temp_directory_path() / "behalf-store-XXXXXX").string();
};

// A test with an empty database of its own.
class OnBothDatabases : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    if (GetParam() == Kind::postgres) {
      REQUIRE_POSTGRES();
      address_ = PostgresCluster::shared()->fresh_database();
    } else {
      address_ = directory_ / "store.db";
    }
  }

  std::unique_ptr<store::Connector> connect() const {
    return GetParam() == Kind::postgres ? store::postgres_connector(address_)
                                        : store::sqlite_connector(address_);
  }

 private:
  TemporaryDirectory directory_;
  std::string address_;
};

// The only value of the only row; fails the test if there is another number of rows.
inline int64_t one_integer(store::Database& database, store::Database::Statement statement,
                           std::initializer_list<store::Parameter> parameters = {}) {
  int64_t value = 0;
  EXPECT_EQ(database.query(statement, parameters, [&](const store::Row& row) { value = row.integer(0); }),
            1U);
  return value;
}

inline void ignore(const store::Row&) {}

// A Loop with a thread of its own, which runs what was posted before it ends.
class ThreadLoop final : public Loop {
 public:
  ThreadLoop() : thread_([this] { run(); }) {}
  ThreadLoop(const ThreadLoop&) = delete;
  ThreadLoop& operator=(const ThreadLoop&) = delete;
  ~ThreadLoop() override {
    post(nullptr);
    thread_.join();
  }

  void post(std::function<void()> work) override {
    const std::lock_guard lock(mutex_);
    works_.push_back(std::move(work));
    ++posts_;
    posted_.notify_one();
  }
  int posts() const {
    const std::lock_guard lock(mutex_);
    return posts_;
  }

 private:
  void run() {
    set_current(this);
    while (true) {
      std::unique_lock lock(mutex_);
      posted_.wait(lock, [this] { return !works_.empty(); });
      const std::function<void()> work = std::move(works_.front());
      works_.pop_front();
      lock.unlock();
      if (!work) return;
      work();
    }
  }

  mutable std::mutex mutex_;  // guards works_ and posts_
  std::condition_variable posted_;
  std::deque<std::function<void()>> works_;
  int posts_ = 0;
  std::thread thread_;
};

// A door that stays open once opened.
class Gate {
 public:
  void open() {
    const std::lock_guard lock(mutex_);
    is_open_ = true;
    opened_.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    opened_.wait(lock, [this] { return is_open_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable opened_;
  bool is_open_ = false;
};

}  // namespace behalf::test
