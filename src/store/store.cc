// Ties the pieces together: opening and migrating, the committer's hooks, and the reading thread.
#include "store/store.h"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "base/bytes.h"
#include "base/embedded.h"
#include "base/log.h"
#include "base/loop.h"
#include "store/sql_store.h"

namespace behalf::store {
namespace {

using Statement = Database::Statement;
constexpr int64_t kSchemaVersion = 4;
constexpr size_t kFetchLimit = 4096;

void prepare_schema(Database& database) {
  // Two servers that start on an empty database at the same time would both create it; the number is ours,
  // any would do.
  // A migration takes as long as the data needs, and so does waiting for another server's.
  if (database.is_postgres()) {
    database.run_script(
        "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0; SELECT pg_advisory_xact_lock(7021735)");
  }
  database.run_script("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)");
  int64_t version = 0;
  constexpr Statement kVersion{"SELECT version FROM schema_version"};
  database.query(kVersion, {}, [&](const Row& row) { version = row.integer(0); });
  if (version > kSchemaVersion) {
    throw StoreUnavailable("the store was written by a newer release (schema " + std::to_string(version) +
                           "); this one knows schema " + std::to_string(kSchemaVersion));
  }
  if (version == kSchemaVersion) return;
  // Sorted by name, so by number: "0002_signals.sqlite.sql" leads from version 1 to 2. All in this
  // transaction.
  const std::string_view dialect = database.is_postgres() ? ".postgres.sql" : ".sqlite.sql";
  for (const EmbeddedFile& file : embedded_schema()) {
    const int64_t number = std::stoll(std::string(file.name.substr(0, file.name.find('_'))));
    if (number <= version || !file.name.ends_with(dialect)) continue;
    if (version > 0) log_line("info", "the store is migrated to schema " + std::to_string(number));
    database.run_script(std::string(file.text));
  }
  if (version > 0) log_line("info", "the store is migrated");
  constexpr Statement kForget{"DELETE FROM schema_version"};
  database.execute(kForget, {});
  constexpr Statement kSet{"INSERT INTO schema_version (version) VALUES ($1)"};
  database.execute(kSet, {kSchemaVersion});
}

// The head says which record is the last. Where it is another, records were taken from the log's end, or put
// there by somebody else; what would be written after them would hide it.
void check_log_end(Database& database) {
  int64_t sequence = 0;
  std::string hash;
  constexpr Statement kHead{"SELECT sequence, hash FROM head WHERE id = 1"};
  database.query(kHead, {}, [&](const Row& row) {
    sequence = row.integer(0);
    hash = row.text(1);
  });
  int64_t last = 0;
  bool is_same = sequence == 0;
  constexpr Statement kLast{"SELECT sequence, hash FROM audit ORDER BY sequence DESC LIMIT 1"};
  database.query(kLast, {}, [&](const Row& row) {
    last = row.integer(0);
    is_same = last == sequence && row.text(1) == hash;
  });
  if (is_same) return;
  throw StoreUnavailable("the audit log was changed by somebody else: its last record is " +
                         std::to_string(last) + " and " + std::to_string(sequence) + " were written" +
                         (last == sequence ? ", with another hash" : "") +
                         "; nothing is added to it (docs/audit-format.md)");
}

}  // namespace

struct Store::Impl {
  RegistryView registry;
  std::unique_ptr<Database> follower;  // the revocation log's thread; null where nobody else writes
  RevocationLog revocations;           // after it: its thread uses it to the end
  WriterState state;
  bool prepared = false;               // the schema is there; committing thread, and before it has work
  int64_t known_generation = 0;        // of what is in `registry` and the caches; committing thread only
  std::atomic<int64_t> generation{0};  // known_generation, for the revocation log's thread
  std::atomic<int64_t> high_water{0};
  std::unique_ptr<Database> reader;
  std::unique_ptr<Committer> committer;
  std::mutex following;
  bool is_ending = false;  // guarded by `following`: the committer goes

  // The reading thread: one connection, one snapshot a work.
  struct ReadJob {
    Reading* work;
    std::function<void(std::exception_ptr)> done;
  };
  std::mutex mutex;
  std::condition_variable wake;
  std::deque<ReadJob> queue;  // guarded by mutex
  bool stopping = false;      // guarded by mutex
  std::thread reading;

  // Takes the row that orders all writers, everywhere. If its generation is not ours, another process changed
  // what we keep in memory.
  void begin_batch(Database& database) {
    constexpr Statement kTake{
        "UPDATE head SET generation = generation WHERE id = 1 RETURNING sequence, hash, generation, "
        "high_water, revocations, status_places"};
    bool found = false;
    database.query(kTake, {}, [&](const Row& row) {
      found = true;
      state.sequence = row.integer(0);
      state.head_hash = row.text(1);
      state.generation = row.integer(2);
      state.high_water = row.integer(3);
      state.revocation = row.integer(4);
      state.status_place = row.integer(5);
    });
    if (!found) throw StoreUnavailable("the store has no head row; it is damaged");
    state.registry_changed = false;
    state.endings = false;
    state.staged = {};
    state.removed_resources.clear();
    state.revocations.clear();
    if (state.generation == known_generation) return;
    drop_caches();
    registry.replace(load_registry(database));
    know(state.generation);
  }

  void end_batch(Database& database) {
    if (state.registry_changed || state.endings) ++state.generation;
    constexpr Statement kLeave{
        "UPDATE head SET sequence = $1, hash = $2, generation = $3, high_water = $4, revocations = $5, "
        "status_places = $6 WHERE id = 1"};
    database.execute(kLeave, {state.sequence, state.head_hash, state.generation, state.high_water,
                              state.revocation, state.status_place});
  }

  void committed() {
    if (state.registry_changed) {
      registry.merge(state.staged, state.removed_resources);
      state.staged = {};
      state.removed_resources.clear();
    }
    know(state.generation);
    high_water.store(state.high_water, std::memory_order_relaxed);
    revocations.publish(state.revocations);
    state.revocations.clear();
  }

  void rolled_back() {
    drop_caches();
    // The outcome may be unknown: read the registry again rather than trust what is here.
    known_generation = 0;
    state.staged = {};
    state.removed_resources.clear();
    state.revocations.clear();
  }

  void know(int64_t newest) {
    known_generation = newest;
    generation.store(newest, std::memory_order_release);
  }

  void drop_caches() {
    state.users.clear();
    state.grants.clear();
    state.nodes.clear();
    state.codes.clear();
    state.stretches.clear();
  }

  void read_loop() {
    for (;;) {
      ReadJob job;
      {
        std::unique_lock lock(mutex);
        wake.wait(lock, [&] { return stopping || !queue.empty(); });
        if (queue.empty()) return;
        job = std::move(queue.front());
        queue.pop_front();
      }
      std::exception_ptr fault;
      try {
        reader->begin_read();
        SqlTransaction transaction(*reader, registry, nullptr);
        (*job.work)(transaction);
        reader->commit();
      } catch (...) {
        fault = std::current_exception();
        reader->rollback();
      }
      job.done(fault);
    }
  }

  // Loads what is kept into the log. Where other servers may write to the database, the log asks it from then
  // on.
  void follow(Connector& address) {
    reader->begin_read();
    int64_t newest = 0;
    constexpr Statement kNewest{"SELECT revocations FROM head WHERE id = 1"};
    reader->query(kNewest, {}, [&](const Row& row) { newest = row.integer(0); });
    const auto most = static_cast<int64_t>(RevocationLog::kInMemory);
    RevocationList kept =
        load_revocations(*reader, std::max<int64_t>(0, newest - most), RevocationLog::kInMemory);
    reader->commit();
    RevocationLog::Fetch fetch;
    if (reader->is_postgres()) {
      follower = address.open_reader();
      fetch = [this](int64_t after) {
        try {
          follower->begin_read();
          RevocationList all;
          for (;;) {
            const RevocationList more =
                load_revocations(*follower, all.empty() ? after : all.back()->sequence, kFetchLimit);
            all.insert(all.end(), more.begin(), more.end());
            if (more.size() < kFetchLimit) break;
          }
          int64_t theirs = 0;
          constexpr Statement kGeneration{"SELECT generation FROM head WHERE id = 1"};
          follower->query(kGeneration, {}, [&](const Row& row) { theirs = row.integer(0); });
          follower->commit();
          // Who has caught up reads the registry as well, which any batch brings up to date.
          const std::lock_guard lock(following);
          if (!is_ending && theirs != generation.load(std::memory_order_acquire))
            committer->run([](Database&) {});
          return all;
        } catch (...) {
          follower->rollback();
          throw;
        }
      };
    }
    revocations.start(newest, std::move(kept), std::move(fetch));
  }

  void enqueue(Reading& work, std::function<void(std::exception_ptr)> done) {
    {
      const std::lock_guard lock(mutex);
      if (queue.size() >= Committer::kMaxQueue) throw StoreUnavailable("too many reads are waiting");
      queue.push_back({&work, std::move(done)});
    }
    wake.notify_one();
  }
};

Store::Store(std::unique_ptr<Connector> connector, Hash sha256) : impl_(std::make_unique<Impl>()) {
  Impl& impl = *impl_;
  impl.state.chain = [sha256 = std::move(sha256)](const std::string& previous_hex, std::string_view record) {
    std::string bytes;
    bytes.reserve(32 + record.size());
    for (size_t i = 0; i + 1 < previous_hex.size(); i += 2) {
      const auto digit = [&](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
      bytes.push_back(static_cast<char>(digit(previous_hex[i]) * 16 + digit(previous_hex[i + 1])));
    }
    bytes += record;
    return hex(sha256(bytes));
  };
  Connector& address = *connector;
  impl.committer = std::make_unique<Committer>(
      std::move(connector),
      CommitterHooks{.begin_batch =
                         [&impl](Database& database) {
                           if (!impl.prepared) prepare_schema(database);
                           impl.begin_batch(database);
                           if (!impl.prepared) check_log_end(database);
                         },
                     .end_batch = [&impl](Database& database) { impl.end_batch(database); },
                     .committed = [&impl] { impl.committed(); },
                     .rolled_back = [&impl] { impl.rolled_back(); }});
  impl.committer->run([](Database&) {});
  impl.prepared = true;
  impl.reader = address.open_reader();
  impl.follow(address);
  impl.reading = std::thread([&impl] { impl.read_loop(); });
}

Store::~Store() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
  }
  impl_->wake.notify_all();
  impl_->revocations.close();
  if (impl_->reading.joinable()) impl_->reading.join();
  {
    const std::lock_guard lock(impl_->following);
    impl_->is_ending = true;
  }
  impl_->committer.reset();
}

bool Store::is_failing() const { return impl_->committer->is_failing(); }

Committer::Pending Store::submit(Work work) {
  return impl_->committer->submit([impl = impl_.get(), work = std::move(work)](Database& database) {
    SqlTransaction transaction(database, impl->registry, &impl->state);
    work(transaction);
  });
}

Task<void> Store::transact(Work work) {
  auto pending = submit(std::move(work));
  co_await pending.durable();
}

void Store::run(Work work) {
  impl_->committer->run([this, &work](Database& database) {
    SqlTransaction transaction(database, impl_->registry, &impl_->state);
    work(transaction);
  });
}

Task<void> Store::read(Reading work) {
  struct Awaiter {
    Impl& impl;
    Reading& work;
    std::exception_ptr fault;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> caller) {
      Loop* loop = Loop::current();
      impl.enqueue(work, [this, caller, loop](std::exception_ptr thrown) {
        fault = thrown;
        if (loop != nullptr)
          loop->post([caller] { caller.resume(); });
        else
          caller.resume();
      });
    }
    void await_resume() const {
      if (fault) std::rethrow_exception(fault);
    }
  };
  Awaiter awaiter{*impl_, work, {}};
  co_await awaiter;
}

void Store::run_read(Reading work) {
  std::mutex mutex;
  std::condition_variable finished;
  bool done = false;
  std::exception_ptr fault;
  impl_->enqueue(work, [&](std::exception_ptr thrown) {
    const std::lock_guard lock(mutex);
    fault = thrown;
    done = true;
    finished.notify_all();
  });
  std::unique_lock lock(mutex);
  finished.wait(lock, [&] { return done; });
  if (fault) std::rethrow_exception(fault);
}

const RegistryView& Store::registry() const { return impl_->registry; }
RevocationLog& Store::revocations() const { return impl_->revocations; }
UnixTime Store::high_water() const { return {impl_->high_water.load(std::memory_order_relaxed)}; }

}  // namespace behalf::store
