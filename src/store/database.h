// The thin driver both databases implement: prepare, bind, step, begin, commit. One SQL text serves both
// (sql_store.cc); only the schema files differ. A Database is used by one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace behalf::store {

// The store cannot be used now: gone, full, read-only, locked. Answered 503; nothing was issued.
class StoreUnavailable : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A transaction lost to a concurrent one (serialisation failure, deadlock); it may be run again.
class StoreConflict : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// NULL, integer or text. Text may hold any UTF-8 but NUL: other text is a std::runtime_error. Booleans are
// 0/1, times are milliseconds.
using Parameter = std::variant<std::nullptr_t, int64_t, std::string_view>;

class Row {
 public:
  virtual ~Row() = default;
  virtual bool is_null(int column) const = 0;
  virtual int64_t integer(int column) const = 0;        // 0 for NULL; a std::runtime_error for other text
  virtual std::string_view text(int column) const = 0;  // empty for NULL; valid until the next step
};

// Failures: StoreUnavailable, StoreConflict, and std::runtime_error for what is our own mistake (a
// constraint, faulty SQL). After any of them inside a transaction, and after a commit() that throws, call
// rollback(). begin() opens a connection anew where the last one was lost.
class Database {
 public:
  virtual ~Database() = default;

  // A statement in the common subset, with $1, $2, ... Prepared once per Database and reused; `sql` must be a
  // string literal (it is the cache key by address). What the common subset is and is not:
  // docs/decisions/0001-one-sql-text-for-two-databases.md.
  struct Statement {
    const char* sql;
  };

  // Runs a statement whose rows nobody needs. May be sent ahead (pipelined): a failure can surface at the
  // next query() or at flush(), and then says which statement it was.
  virtual void execute(Statement statement, std::initializer_list<Parameter> parameters) = 0;

  // Runs a statement and hands its rows to `each` in order. Returns the number of rows.
  virtual size_t query(Statement statement, std::initializer_list<Parameter> parameters,
                       const std::function<void(const Row&)>& each) = 0;

  // Runs an INSERT, UPDATE or DELETE and returns how many rows it changed: what a single-use thing is spent
  // by.
  virtual size_t change(Statement statement, std::initializer_list<Parameter> parameters) = 0;

  // Waits until everything sent ahead has succeeded; throws otherwise.
  virtual void flush() = 0;

  virtual void begin() = 0;       // SQLite: BEGIN IMMEDIATE
  virtual void begin_read() = 0;  // a read-only snapshot
  virtual void commit() = 0;      // durable when it returns; StoreUnavailable leaves it unknown
  virtual void rollback() noexcept = 0;

  // Between batches, on the committing thread only. SQLite: a PASSIVE checkpoint when the log has grown.
  virtual void maintain() = 0;

  // Several statements at once (schema files); no parameters.
  virtual void run_script(const std::string& sql) = 0;

  virtual bool is_postgres() const = 0;  // for choosing the schema file; sql_store.cc never asks
};

}  // namespace behalf::store
