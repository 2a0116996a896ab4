// SQLite behind Database: one file, one process, one writing connection.
//
// SQLite up to 3.51.2 can corrupt its log when one connection checkpoints while another commits. So every
// commit and every checkpoint happens on the writing connection, on its one thread: automatic checkpoints are
// off everywhere, readers never checkpoint (not even on close), and a second process is kept out by a lock
// file of our own. synchronous=FULL always: NORMAL loses acknowledged rows when the power goes.
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <mutex>
#include <system_error>
#include <unordered_map>

#include "store/connect.h"
#include "store/sqlite_log.h"
#include "store/storable_text.h"

namespace behalf::store {
namespace {

constexpr int kBusyMilliseconds = 5000;  // only a stray reader or backup can make us wait at all
// 32 MiB of log between checkpoints: rarer ones copy a page that many commits wrote only once, and stop the
// writer for some 30 ms each; a quarter of it cost a tenth more a request and the 99th percentile twice as
// much.
constexpr int kCheckpointPages = 8000;
constexpr const char* kMemory = ":memory:";

std::string system_message(int error) { return std::generic_category().message(error); }

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd = -1) : fd_(fd) {}
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  ~FileDescriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  const int fd_;
};

// The database file and our right to it. Shared by the connector and its connections, so that the lock is let
// go only after the last of them.
class DatabaseFile {
 public:
  explicit DatabaseFile(const std::string& path) {
    if (path.empty()) throw StoreUnavailable("the SQLite database has no path");
    if (path == kMemory) {
      make_temporary();
    } else {
      // Two names of one file must meet at one lock file.
      std::error_code error;
      path_ = std::filesystem::weakly_canonical(path, error).string();
      if (error) throw StoreUnavailable("cannot use " + path + ": " + error.message());
    }
    lock_ = std::make_unique<FileDescriptor>(take_lock(path_));
    create(path_);
  }
  DatabaseFile(const DatabaseFile&) = delete;
  DatabaseFile& operator=(const DatabaseFile&) = delete;
  ~DatabaseFile() {
    std::error_code ignored;
    if (!temporary_.empty()) std::filesystem::remove_all(temporary_, ignored);
  }

  const std::string& path() const { return path_; }

 private:
  // SQLite's own shared memory databases lock whole tables and know no snapshots, so a reader would meet
  // other rules than on a file. A file in memory behaves as the real thing.
  void make_temporary() {
    std::error_code error;
    const bool in_memory = std::filesystem::is_directory("/dev/shm", error);
    std::string name =
        (in_memory ? std::string("/dev/shm") : std::filesystem::temp_directory_path().string()) +
        "/behalf-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr)
      throw StoreUnavailable("cannot create " + name + ": " + system_message(errno));
    temporary_ = name;
    path_ = name + "/memory.db";
  }

  static int take_lock(const std::string& path) {
    const std::string name = path + ".lock";
    const int fd = ::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) throw StoreUnavailable("cannot open the lock file " + name + ": " + system_message(errno));
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
    const int error = errno;
    ::close(fd);
    if (error == EWOULDBLOCK)
      throw StoreUnavailable("the database " + path + " is in use by another process");
    throw StoreUnavailable("cannot lock " + name + ": " + system_message(error));
  }

  // SQLite would create the file readable by others; its log files inherit the mode from it. Called under the
  // lock and before SQLite opens the file: closing any descriptor of it later would drop SQLite's own locks.
  static void create(const std::string& path) {
    const FileDescriptor made(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (made.get() < 0) {
      if (errno == EEXIST) return;
      throw StoreUnavailable("cannot create the database " + path + ": " + system_message(errno));
    }
    if (::fchmod(made.get(), 0600) != 0)
      throw StoreUnavailable("cannot protect " + path + ": " + system_message(errno));
  }

  std::string path_;
  std::string temporary_;
  std::unique_ptr<FileDescriptor> lock_;
};

enum class Role { writer, reader };

struct Finalize {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};

struct Prepared {
  std::unique_ptr<sqlite3_stmt, Finalize> handle;
  std::vector<int> positions;  // of $1, $2, ...: SQLite numbers names by first appearance
  bool running = false;
};

class SqliteRow final : public Row {
 public:
  explicit SqliteRow(sqlite3_stmt* statement)
      : statement_(statement), columns_(sqlite3_column_count(statement)) {}

  bool is_null(int column) const override { return type(column) == SQLITE_NULL; }
  int64_t integer(int column) const override {
    switch (type(column)) {
      case SQLITE_NULL:
        return 0;
      case SQLITE_INTEGER:
        return sqlite3_column_int64(statement_, column);
      default:
        throw std::runtime_error("column " + std::to_string(column) + " is not an integer");
    }
  }
  std::string_view text(int column) const override {
    if (type(column) == SQLITE_NULL) return {};
    const unsigned char* bytes = sqlite3_column_text(statement_, column);
    if (bytes == nullptr) throw std::bad_alloc();
    return {reinterpret_cast<const char*>(bytes),
            static_cast<size_t>(sqlite3_column_bytes(statement_, column))};
  }

 private:
  int type(int column) const {
    if (column < 0 || column >= columns_) throw std::runtime_error("no column " + std::to_string(column));
    return sqlite3_column_type(statement_, column);
  }

  sqlite3_stmt* statement_;
  int columns_;
};

class SqliteDatabase final : public Database {
 public:
  SqliteDatabase(std::shared_ptr<DatabaseFile> file, Role role) : file_(std::move(file)), role_(role) {
    open();
  }
  SqliteDatabase(const SqliteDatabase&) = delete;
  SqliteDatabase& operator=(const SqliteDatabase&) = delete;
  ~SqliteDatabase() override { close(); }

  void execute(Statement statement, std::initializer_list<Parameter> parameters) override {
    run(statement.sql, parameters, nullptr);
  }
  size_t query(Statement statement, std::initializer_list<Parameter> parameters,
               const std::function<void(const Row&)>& each) override {
    return run(statement.sql, parameters, &each);
  }
  size_t change(Statement statement, std::initializer_list<Parameter> parameters) override {
    run(statement.sql, parameters, nullptr);
    return static_cast<size_t>(sqlite3_changes(handle_));
  }
  void flush() override {}

  void begin() override { start("BEGIN IMMEDIATE"); }
  void begin_read() override { start("BEGIN"); }
  void commit() override { run("COMMIT", {}, nullptr); }

  void rollback() noexcept override {
    if (handle_ == nullptr) return;
    if (sqlite3_get_autocommit(handle_) == 0) {
      const int code = sqlite3_exec(handle_, "ROLLBACK", nullptr, nullptr, nullptr);
      if (code != SQLITE_OK && sqlite3_get_autocommit(handle_) == 0) broken_ = true;
    }
    if (broken_) close();
  }

  void maintain() override {
    if (role_ != Role::writer || handle_ == nullptr || log_pages_ < checkpoint_at_) return;
    int in_log = 0;
    int copied = 0;
    const int code = sqlite3_wal_checkpoint_v2(handle_, nullptr, SQLITE_CHECKPOINT_PASSIVE, &in_log, &copied);
    // While a reader looks at old rows the log cannot start over; ask again after as much again, not after
    // every batch.
    checkpoint_at_ = log_pages_ + kCheckpointPages;
    if (code != SQLITE_OK && (code & 0xFF) != SQLITE_BUSY) fail(code, "checkpoint");
  }

  void run_script(const std::string& sql) override {
    ready();
    const int code = sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr);
    if (code != SQLITE_OK) fail(code, "a script");
  }

  bool is_postgres() const override { return false; }

 private:
  void start(const char* sql) {
    if (handle_ != nullptr && broken_) close();
    if (handle_ == nullptr) open();
    run(sql, {}, nullptr);
  }

  void ready() const {
    if (handle_ == nullptr || broken_)
      throw StoreUnavailable("the SQLite database was closed after a failure");
  }

  void open() {
    const int code = sqlite3_open_v2(
        file_->path().c_str(), &handle_,
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE,
        gathering_vfs());
    try {
      if (code != SQLITE_OK) fail(code, "open");
      configure();
      if (distrusts_log_) settle_log();
    } catch (...) {
      close();
      throw;
    }
  }

  void configure() {
    sqlite3_busy_timeout(handle_, kBusyMilliseconds);
    sqlite3_db_config(handle_, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
    sqlite3_db_config(handle_, SQLITE_DBCONFIG_DQS_DML, 0, nullptr);  // "x" names a column, as in PostgreSQL
    sqlite3_db_config(handle_, SQLITE_DBCONFIG_DQS_DDL, 0, nullptr);
    if (role_ == Role::reader) sqlite3_db_config(handle_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    pragma("PRAGMA journal_mode=WAL", "wal");
    pragma("PRAGMA wal_autocheckpoint=0", "0");
    pragma("PRAGMA synchronous=FULL", nullptr);
    pragma("PRAGMA synchronous", "2");
    pragma("PRAGMA foreign_keys=ON", nullptr);
    pragma("PRAGMA foreign_keys", "1");
    pragma("PRAGMA trusted_schema=OFF", nullptr);
    pragma("PRAGMA cell_size_check=ON", nullptr);
    pragma("PRAGMA mmap_size=0", nullptr);
    pragma("PRAGMA temp_store=MEMORY", nullptr);
    // Debian compiles secure_delete=ON, which writes freed pages once more. Only keyed hashes of secrets are
    // stored, so wiping what costs no extra write is enough.
    pragma("PRAGMA secure_delete=FAST", nullptr);
    pragma(role_ == Role::writer ? "PRAGMA cache_size=-32768" : "PRAGMA cache_size=-16384", nullptr);
    if (role_ == Role::reader) pragma("PRAGMA query_only=ON", nullptr);
    if (role_ == Role::writer) {
      sqlite3_wal_hook(
          handle_,
          [](void* self, sqlite3*, const char*, int pages) {
            static_cast<SqliteDatabase*>(self)->log_has(pages);
            return SQLITE_OK;
          },
          this);
    }
  }

  void log_has(int pages) {
    if (pages < log_pages_) checkpoint_at_ = kCheckpointPages;  // the log has started over
    log_pages_ = pages;
  }

  // After a failed write or sync the kernel may hold log pages it will never write, and says so only once.
  // Copying the log into the database and cutting it to nothing writes and syncs all of them anew before
  // anything is built on them.
  void settle_log() {
    int in_log = 0;
    int copied = 0;
    const int code =
        sqlite3_wal_checkpoint_v2(handle_, nullptr, SQLITE_CHECKPOINT_TRUNCATE, &in_log, &copied);
    if (code != SQLITE_OK) fail(code, "checkpoint after a failed write");
    distrusts_log_ = false;
    checkpoint_at_ = kCheckpointPages;
  }

  void pragma(const char* sql, const char* expected) {
    std::string answer;
    const auto keep = [](void* out, int columns, char** values, char**) {
      if (columns > 0 && values[0] != nullptr) *static_cast<std::string*>(out) = values[0];
      return 0;
    };
    const int code = sqlite3_exec(handle_, sql, keep, &answer, nullptr);
    if (code != SQLITE_OK) fail(code, sql);
    if (expected != nullptr && answer != expected) {
      throw StoreUnavailable(std::string("SQLite answered '") + answer + "' to " + sql);
    }
  }

  void close() noexcept {
    statements_.clear();
    // Nothing more is written through a handle that failed; the next one settles the log.
    if (broken_ && handle_ != nullptr)
      sqlite3_db_config(handle_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    sqlite3_close_v2(handle_);
    handle_ = nullptr;
    broken_ = false;
    log_pages_ = 0;
    checkpoint_at_ = kCheckpointPages;
  }

  Prepared& prepared(const char* sql) {
    const auto [found, is_new] = statements_.try_emplace(sql);
    Prepared& entry = found->second;
    if (!is_new && entry.handle != nullptr) return entry;
    sqlite3_stmt* handle = nullptr;
    const int code = sqlite3_prepare_v3(handle_, sql, -1, SQLITE_PREPARE_PERSISTENT, &handle, nullptr);
    if (code != SQLITE_OK) fail(code, sql);
    entry.handle.reset(handle);
    entry.positions.clear();
    for (int number = 1; number <= sqlite3_bind_parameter_count(handle); ++number) {
      entry.positions.push_back(sqlite3_bind_parameter_index(handle, ("$" + std::to_string(number)).c_str()));
    }
    return entry;
  }

  void bind(const Prepared& entry, const char* sql, std::initializer_list<Parameter> parameters) {
    if (parameters.size() != entry.positions.size()) {
      throw std::runtime_error(std::to_string(parameters.size()) + " parameters for: " + sql);
    }
    auto position = entry.positions.begin();
    for (const Parameter& parameter : parameters) {
      int code = SQLITE_OK;
      if (const auto* number = std::get_if<int64_t>(&parameter)) {
        code = sqlite3_bind_int64(entry.handle.get(), *position, *number);
      } else if (const auto* text = std::get_if<std::string_view>(&parameter)) {
        require_storable(*text);
        // A null pointer would bind NULL; the empty text must stay text.
        code = sqlite3_bind_text64(entry.handle.get(), *position, text->empty() ? "" : text->data(),
                                   text->size(), SQLITE_STATIC, SQLITE_UTF8);
      } else {
        code = sqlite3_bind_null(entry.handle.get(), *position);
      }
      if (code != SQLITE_OK) fail(code, sql);
      ++position;
    }
  }

  size_t run(const char* sql, std::initializer_list<Parameter> parameters,
             const std::function<void(const Row&)>* each) {
    ready();
    Prepared& entry = prepared(sql);
    if (entry.running) throw std::runtime_error(std::string("a statement was run inside itself: ") + sql);
    struct Reset {
      Prepared& used;
      ~Reset() {
        sqlite3_reset(used.handle.get());
        sqlite3_clear_bindings(used.handle.get());
        used.running = false;
      }
    } const reset{entry};
    entry.running = true;
    bind(entry, sql, parameters);
    size_t rows = 0;
    while (true) {
      const int code = sqlite3_step(entry.handle.get());
      if (code == SQLITE_DONE) return rows;
      if (code != SQLITE_ROW) fail(code, sql);
      ++rows;
      if (each != nullptr) (*each)(SqliteRow(entry.handle.get()));
    }
  }

  [[noreturn]] void fail(int code, const char* doing) {
    const std::string message = std::string("SQLite: ") +
                                (handle_ != nullptr ? sqlite3_errmsg(handle_) : sqlite3_errstr(code)) + " (" +
                                std::to_string(code) + ") in: " + doing;
    switch (code & 0xFF) {
      case SQLITE_IOERR:
        if (role_ == Role::writer) distrusts_log_ = true;
        [[fallthrough]];
      case SQLITE_CORRUPT:
      case SQLITE_NOTADB:
        broken_ = true;  // closed for good at the next rollback or begin, never used again
        throw StoreUnavailable(message);
      case SQLITE_FULL:
      case SQLITE_READONLY:
      case SQLITE_CANTOPEN:
      case SQLITE_BUSY:
      case SQLITE_LOCKED:
      case SQLITE_PERM:
      case SQLITE_PROTOCOL:
      case SQLITE_NOMEM:
        throw StoreUnavailable(message);
      default:
        throw std::runtime_error(message);
    }
  }

  std::shared_ptr<DatabaseFile> file_;
  const Role role_;
  sqlite3* handle_ = nullptr;
  bool broken_ = false;         // this handle must not be used again
  bool distrusts_log_ = false;  // a write or sync failed; settle the log before the next commit
  int log_pages_ = 0;
  int checkpoint_at_ = kCheckpointPages;
  std::unordered_map<const char*, Prepared> statements_;
};

class SqliteConnector final : public Connector {
 public:
  explicit SqliteConnector(std::string path) : path_(std::move(path)) {}

  std::unique_ptr<Database> open_writer() override {
    return std::make_unique<SqliteDatabase>(file(), Role::writer);
  }
  std::unique_ptr<Database> open_reader() override {
    return std::make_unique<SqliteDatabase>(file(), Role::reader);
  }

 private:
  std::shared_ptr<DatabaseFile> file() {
    const std::lock_guard lock(mutex_);
    if (file_ == nullptr) file_ = std::make_shared<DatabaseFile>(path_);
    return file_;
  }

  const std::string path_;
  std::mutex mutex_;  // guards file_
  std::shared_ptr<DatabaseFile> file_;
};

}  // namespace

std::unique_ptr<Connector> sqlite_connector(const std::string& path) {
  return std::make_unique<SqliteConnector>(path);
}

}  // namespace behalf::store
