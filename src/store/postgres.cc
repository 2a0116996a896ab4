// PostgreSQL behind Database: one connection in pipeline mode.
//
// execute() only queues; what is queued travels with the next query(), whose answer is the first thing waited
// for. An error makes the server skip everything up to the next synchronisation, so after one we synchronise,
// read all that is outstanding and throw what failed first. Whatever makes the store unavailable also closes
// the connection; the next begin() opens another and checks again that the server keeps what it acknowledges.
// No message holds a parameter's value.
#include <libpq-fe.h>
#include <poll.h>

#include <charconv>
#include <chrono>
#include <cstring>
#include <deque>
#include <unordered_map>
#include <utility>

#include "store/connect.h"
#include "store/storable_text.h"

namespace behalf::store {
namespace {

constexpr size_t kMaxAhead = 1024;  // statements sent and not yet answered; beyond it, wait for them
constexpr auto kAnswerTimeout = std::chrono::seconds(15);  // above statement_timeout, which should fire first
constexpr const char* kConnectSeconds = "3";
constexpr const char* kSessionSettings =
    "SET statement_timeout = '10s'; SET lock_timeout = '5s'; SET idle_in_transaction_session_timeout = "
    "'30s'; "
    "SET standard_conforming_strings = on";
constexpr const char* kDurability =
    "SELECT current_setting('fsync'), current_setting('full_page_writes'), "
    "current_setting('synchronous_commit'), "
    "CASE WHEN pg_is_in_recovery() THEN 'on' ELSE 'off' END, current_setting('server_encoding')";
constexpr const char* kCommit = "COMMIT";
constexpr Oid kBooleanType = 16;  // fixed in PostgreSQL's catalogue

struct Clear {
  void operator()(PGresult* result) const { PQclear(result); }
};
using ResultPointer = std::unique_ptr<PGresult, Clear>;
struct Finish {
  void operator()(PGconn* connection) const { PQfinish(connection); }
};
struct FreeOptions {
  void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};

enum class Role { writer, reader };
enum class Severity { conflict, unavailable, fault };

// What a caller may do about an error (PostgreSQL manual, appendix A).
Severity severity_of(std::string_view state) {
  if (state == "40001" || state == "40P01") return Severity::conflict;
  if (state == "08P01") return Severity::fault;  // our own misuse, such as a wrong number of parameters
  for (const std::string_view kind :
       {"08", "53", "57P", "57014", "58", "25006", "25P03", "55P03", "XX001", "XX002"}) {
    if (state.starts_with(kind)) return Severity::unavailable;
  }
  return state.empty() ? Severity::unavailable
                       : Severity::fault;  // empty: libpq's own, the connection is gone
}

std::string first_line(const char* message) {
  const std::string_view text = message == nullptr ? std::string_view() : std::string_view(message);
  return std::string(text.substr(0, text.find('\n')));
}

class PostgresRow final : public Row {
 public:
  PostgresRow(const PGresult* result, int row) : result_(result), row_(row) {}

  bool is_null(int column) const override {
    if (column < 0 || column >= PQnfields(result_))
      throw std::runtime_error("no column " + std::to_string(column));
    return PQgetisnull(result_, row_, column) != 0;
  }
  int64_t integer(int column) const override {
    const std::string_view digits = text(column);
    if (digits.empty() && is_null(column)) return 0;
    int64_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc() || end != digits.data() + digits.size()) {
      throw std::runtime_error("column " + std::to_string(column) + " is not an integer");
    }
    return value;
  }
  std::string_view text(int column) const override {
    if (is_null(column)) return {};
    const std::string_view value(PQgetvalue(result_, row_, column),
                                 static_cast<size_t>(PQgetlength(result_, row_, column)));
    // A comparison yields t or f here and 1 or 0 in SQLite.
    if (PQftype(result_, column) == kBooleanType) return value == "t" ? "1" : "0";
    return value;
  }

 private:
  const PGresult* result_;
  int row_;
};

class PostgresDatabase final : public Database {
 public:
  PostgresDatabase(std::string dsn, Role role) : dsn_(std::move(dsn)), role_(role) { connect(); }

  void execute(Statement statement, std::initializer_list<Parameter> parameters) override {
    send(statement.sql, parameters);
  }

  size_t query(Statement statement, std::initializer_list<Parameter> parameters,
               const std::function<void(const Row&)>& each) override {
    // Outside a transaction only a synchronisation ends the statement's own one.
    const ResultPointer result =
        ask(statement.sql, parameters, in_transaction_ ? Until::answer : Until::synchronised);
    const int rows = PQntuples(result.get());
    for (int row = 0; row < rows; ++row) each(PostgresRow(result.get(), row));
    return static_cast<size_t>(rows);
  }

  size_t change(Statement statement, std::initializer_list<Parameter> parameters) override {
    const ResultPointer result =
        ask(statement.sql, parameters, in_transaction_ ? Until::answer : Until::synchronised);
    size_t rows = 0;
    const std::string_view count = PQcmdTuples(result.get());
    std::from_chars(count.data(), count.data() + count.size(), rows);
    return rows;
  }

  void flush() override {
    if (expected_.empty() && !failure_) return;
    require_connection();
    synchronise();
  }

  void begin() override { start("BEGIN ISOLATION LEVEL READ COMMITTED"); }
  void begin_read() override { start("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"); }

  void commit() override {
    flush();  // until here a failure is an ordinary one; from here on nobody knows what the server did
    try {
      const ResultPointer result = ask(kCommit, {}, Until::synchronised);
      // A transaction that had failed before answers COMMIT with ROLLBACK, and without an error.
      if (std::strcmp(PQcmdStatus(result.get()), kCommit) != 0)
        throw std::runtime_error("it was rolled back");
    } catch (const std::exception& fault) {
      disconnect();
      throw StoreUnavailable(std::string("it is unknown whether PostgreSQL committed: ") + fault.what());
    }
    in_transaction_ = false;
  }

  void rollback() noexcept override {
    try {
      if (connection_ != nullptr && !expected_.empty()) synchronise();
    } catch (...) {  // NOLINT(bugprone-empty-catch): what failed is being rolled back
    }
    failure_.reset();
    try {
      if (connection_ != nullptr && in_transaction_) ask("ROLLBACK", {}, Until::synchronised);
    } catch (...) {
      disconnect();  // the server rolls back when the connection goes
    }
    in_transaction_ = false;
  }

  void maintain() override {}

  void run_script(const std::string& sql) override {
    flush();
    require_connection();
    // The simple protocol takes several statements at once, but not inside a pipeline.
    if (PQexitPipelineMode(connection_.get()) == 0) lose();
    PQsetnonblocking(connection_.get(), 0);
    const ResultPointer result(PQexec(connection_.get(), sql.c_str()));
    note(result.get(), "a script");
    enter_pipeline();
    if (failure_) throw_failure();
  }

  bool is_postgres() const override { return true; }

 private:
  enum class Until { answer, synchronised };
  struct Prepared {
    std::string name;
    bool is_sent = false;
  };
  // One answer the server still owes.
  struct Expected {
    enum class Kind { preparation, statement, synchronisation } kind;
    const char* sql;
    Prepared* prepared;
  };
  struct Failure {
    Severity severity;
    std::string message;
  };

  void connect() {
    disconnect();
    in_transaction_ = false;
    std::vector<const char*> names{"dbname"};
    std::vector<const char*> values{dsn_.c_str()};
    const auto set = [&](const char* name, const char* value) {
      names.push_back(name);
      values.push_back(value);
    };
    set("client_encoding", "UTF8");
    set("fallback_application_name", "behalf");
    const std::unique_ptr<PQconninfoOption, FreeOptions> given(PQconninfoParse(dsn_.c_str(), nullptr));
    // libpq would quote the faulty piece, which may be the password.
    if (given == nullptr)
      throw StoreUnavailable("the address of the PostgreSQL database cannot be understood");
    const auto set_unless_given = [&](const char* name, const char* value) {
      for (const PQconninfoOption* option = given.get(); option->keyword != nullptr; ++option) {
        if (std::strcmp(option->keyword, name) == 0 && option->val != nullptr) return;
      }
      set(name, value);
    };
    set_unless_given("connect_timeout", kConnectSeconds);
    set_unless_given("tcp_user_timeout", "10000");
    set_unless_given("keepalives_idle", "10");
    set_unless_given("keepalives_interval", "5");
    names.push_back(nullptr);
    values.push_back(nullptr);
    connection_.reset(PQconnectdbParams(names.data(), values.data(), 1));
    if (PQstatus(connection_.get()) != CONNECTION_OK) {
      const std::string message = first_line(PQerrorMessage(connection_.get()));
      disconnect();
      throw StoreUnavailable("cannot connect to PostgreSQL: " + message);
    }
    PQsetNoticeReceiver(
        connection_.get(), [](void*, const PGresult*) {}, nullptr);
    try {
      simple(kSessionSettings);
      if (role_ == Role::writer) require_durable();
      if (role_ == Role::reader) simple("SET default_transaction_read_only = on");
    } catch (...) {
      disconnect();
      throw;
    }
    enter_pipeline();
  }

  // Speaking before the pipeline begins.
  ResultPointer simple(const char* sql) {
    ResultPointer result(PQexec(connection_.get(), sql));
    const ExecStatusType status = PQresultStatus(result.get());
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) return result;
    throw StoreUnavailable("cannot set up the PostgreSQL session: " +
                           first_line(PQerrorMessage(connection_.get())));
  }

  // "Durable" must be true when commit() returns, so a server that only says so is refused.
  void require_durable() {
    const ResultPointer result = simple(kDurability);
    const auto is = [&](int column, const char* value) {
      return std::strcmp(PQgetvalue(result.get(), 0, column), value) == 0;
    };
    if (!is(0, "on"))
      throw StoreUnavailable("PostgreSQL runs with fsync off and would lose what it acknowledged");
    if (!is(1, "on"))
      throw StoreUnavailable("PostgreSQL runs with full_page_writes off and may not survive a crash");
    if (is(2, "off"))
      throw StoreUnavailable("PostgreSQL runs with synchronous_commit off and may lose what it acknowledged");
    if (!is(3, "off")) throw StoreUnavailable("this PostgreSQL is a standby and cannot be written to");
    if (!is(4, "UTF8")) throw StoreUnavailable("the PostgreSQL database is not encoded as UTF8");
  }

  void enter_pipeline() {
    if (PQsetnonblocking(connection_.get(), 1) != 0 || PQenterPipelineMode(connection_.get()) == 0) lose();
  }

  void disconnect() noexcept {
    connection_.reset();
    expected_.clear();
    failure_.reset();
    for (auto& [sql, prepared] : statements_) prepared.is_sent = false;
  }

  [[noreturn]] void lose() {
    const std::string message = first_line(PQerrorMessage(connection_.get()));
    disconnect();
    throw StoreUnavailable("the connection to PostgreSQL was lost: " + message);
  }

  // A statement of a transaction that lost its connection must not run outside it on a new one.
  void require_connection() {
    if (connection_ != nullptr) return;
    if (in_transaction_) throw StoreUnavailable("the connection to PostgreSQL was lost");
    connect();
  }

  // True if the server has not hung up since we last spoke. A restart between two transactions then harms
  // nobody.
  bool is_alive() {
    if (connection_ == nullptr) return false;
    for (int reads = 0; reads < 8; ++reads) {
      pollfd socket{PQsocket(connection_.get()), POLLIN, 0};
      if (::poll(&socket, 1, 0) == 0) return true;
      if (PQconsumeInput(connection_.get()) == 0 || PQstatus(connection_.get()) != CONNECTION_OK)
        return false;
    }
    return false;
  }

  void start(const char* sql) {
    if (in_transaction_) throw std::runtime_error("begin inside a transaction");
    flush();
    if (!is_alive()) connect();
    send(sql, {});
    in_transaction_ = true;
  }

  void send(const char* sql, std::initializer_list<Parameter> parameters) {
    require_connection();
    if (expected_.size() >= kMaxAhead) synchronise();
    lay_out(parameters);
    const auto [found, is_new] = statements_.try_emplace(sql);
    Prepared& prepared = found->second;
    if (is_new) prepared.name = "s" + std::to_string(statements_.size());
    if (!prepared.is_sent) {
      if (PQsendPrepare(connection_.get(), prepared.name.c_str(), sql, 0, nullptr) == 0) lose();
      prepared.is_sent = true;
      expected_.push_back({Expected::Kind::preparation, sql, &prepared});
    }
    if (PQsendQueryPrepared(connection_.get(), prepared.name.c_str(), static_cast<int>(values_.size()),
                            values_.data(), nullptr, nullptr, 0) == 0) {
      lose();
    }
    expected_.push_back({Expected::Kind::statement, sql, nullptr});
  }

  // Parameters as libpq takes them: each a text ending in NUL, one after the other in one buffer.
  void lay_out(std::initializer_list<Parameter> parameters) {
    constexpr size_t kLongestInteger = 21;
    size_t needed = 0;
    for (const Parameter& parameter : parameters) {
      const auto* text = std::get_if<std::string_view>(&parameter);
      if (text != nullptr) require_storable(*text);
      needed += text != nullptr ? text->size() + 1 : kLongestInteger;
    }
    if (buffer_.size() < needed) buffer_.resize(needed);
    values_.clear();
    char* at = buffer_.data();
    for (const Parameter& parameter : parameters) {
      if (std::holds_alternative<std::nullptr_t>(parameter)) {
        values_.push_back(nullptr);
        continue;
      }
      values_.push_back(at);
      if (const auto* number = std::get_if<int64_t>(&parameter)) {
        at = std::to_chars(at, at + kLongestInteger, *number).ptr;
      } else {
        const std::string_view text = std::get<std::string_view>(parameter);
        at = std::copy(text.begin(), text.end(), at);
      }
      *at++ = '\0';
    }
  }

  // Sends one statement after all that is queued and waits for its answer.
  ResultPointer ask(const char* sql, std::initializer_list<Parameter> parameters, Until until) {
    send(sql, parameters);
    const size_t before = expected_.size() - 1;
    if (until == Until::synchronised) {
      send_synchronisation();
    } else if (PQsendFlushRequest(connection_.get()) == 0) {
      lose();
    }
    for (size_t i = 0; i < before; ++i) receive();
    ResultPointer own = receive();
    if (until == Until::synchronised) receive();
    if (failure_) {
      if (until == Until::answer) synchronise();
      throw_failure();
    }
    return own;
  }

  void send_synchronisation() {
    if (PQpipelineSync(connection_.get()) == 0) lose();
    expected_.push_back({Expected::Kind::synchronisation, "", nullptr});
  }

  void synchronise() {
    send_synchronisation();
    while (!expected_.empty()) receive();
    if (failure_) throw_failure();
  }

  // Reads the oldest answer owed and remembers the first failure.
  ResultPointer receive() {
    ResultPointer result = next_result();
    const Expected expected = expected_.front();
    expected_.pop_front();
    const ExecStatusType status = PQresultStatus(result.get());
    if (expected.kind == Expected::Kind::synchronisation) {
      if (status != PGRES_PIPELINE_SYNC) lose();
      return result;
    }
    note(result.get(), expected.sql);
    if (expected.prepared != nullptr && status != PGRES_COMMAND_OK) expected.prepared->is_sent = false;
    if (next_result() != nullptr) lose();  // every answer is closed by an empty one
    return result;
  }

  void note(const PGresult* result, const char* sql) {
    const ExecStatusType status = PQresultStatus(result);
    if (failure_ || status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK ||
        status == PGRES_PIPELINE_ABORTED)
      return;
    const char* field = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const std::string state = field == nullptr ? "" : field;
    failure_ = Failure{severity_of(state),
                       "PostgreSQL: SQLSTATE " + (state.empty() ? "none" : state) + " in: " + sql};
  }

  [[noreturn]] void throw_failure() {
    const Failure failure = *std::exchange(failure_, std::nullopt);
    switch (failure.severity) {
      case Severity::conflict:
        throw StoreConflict(failure.message);
      case Severity::unavailable:
        disconnect();
        throw StoreUnavailable(failure.message);
      case Severity::fault:
        break;
    }
    throw std::runtime_error(failure.message);
  }

  ResultPointer next_result() {
    const auto deadline = std::chrono::steady_clock::now() + kAnswerTimeout;
    while (true) {
      const int unsent = PQflush(connection_.get());
      if (unsent < 0) lose();
      if (unsent == 0 && PQisBusy(connection_.get()) == 0) break;
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
      // Reading while there is more to send keeps both sides from waiting for each other.
      pollfd socket{PQsocket(connection_.get()), static_cast<short>(unsent > 0 ? POLLIN | POLLOUT : POLLIN),
                    0};
      const int ready = left.count() > 0 ? ::poll(&socket, 1, static_cast<int>(left.count())) : 0;
      if (ready == 0) {
        disconnect();
        throw StoreUnavailable("PostgreSQL does not answer");
      }
      if (ready > 0 && (socket.revents & ~POLLOUT) != 0 && PQconsumeInput(connection_.get()) == 0) lose();
    }
    return ResultPointer(PQgetResult(connection_.get()));
  }

  const std::string dsn_;
  const Role role_;
  std::unique_ptr<PGconn, Finish> connection_;
  bool in_transaction_ = false;
  std::deque<Expected> expected_;
  std::optional<Failure> failure_;
  std::unordered_map<const char*, Prepared> statements_;
  std::vector<char> buffer_;
  std::vector<const char*> values_;
};

class PostgresConnector final : public Connector {
 public:
  explicit PostgresConnector(std::string dsn) : dsn_(std::move(dsn)) {}

  std::unique_ptr<Database> open_writer() override {
    return std::make_unique<PostgresDatabase>(dsn_, Role::writer);
  }
  std::unique_ptr<Database> open_reader() override {
    return std::make_unique<PostgresDatabase>(dsn_, Role::reader);
  }

 private:
  const std::string dsn_;
};

}  // namespace

std::unique_ptr<Connector> postgres_connector(const std::string& dsn) {
  return std::make_unique<PostgresConnector>(dsn);
}

}  // namespace behalf::store
