// What only SQLite can get wrong: the file's owner and lock, failing disks, and the log that must not grow
// for ever.
//
// Disk faults come from a file system layer of SQLite's own kind (a "VFS") that passes everything on to the
// real one until it is told to fail.
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

#include "store/database_contract.h"

namespace behalf::test {
namespace {

using store::Database;
using store::sqlite_connector;
using store::StoreUnavailable;

enum class DiskFault { none, sync_fails, is_full, cannot_write };
DiskFault disk_fault = DiskFault::none;
int syncs_of_log = 0;
int writes_of_log = 0;

struct FaultyFile {
  sqlite3_file base;
  sqlite3_file* real;
  bool is_log;
};
sqlite3_file* real(sqlite3_file* file) { return reinterpret_cast<FaultyFile*>(file)->real; }

int write_or_fail(sqlite3_file* file, const void* bytes, int size, sqlite3_int64 at) {
  if (reinterpret_cast<FaultyFile*>(file)->is_log) ++writes_of_log;
  if (disk_fault == DiskFault::is_full) return SQLITE_FULL;
  if (disk_fault == DiskFault::cannot_write) return SQLITE_IOERR_WRITE;
  return real(file)->pMethods->xWrite(real(file), bytes, size, at);
}
int sync_or_fail(sqlite3_file* file, int flags) {
  if (reinterpret_cast<FaultyFile*>(file)->is_log) ++syncs_of_log;
  if (disk_fault == DiskFault::sync_fails) return SQLITE_IOERR_FSYNC;
  return real(file)->pMethods->xSync(real(file), flags);
}

const sqlite3_io_methods kFaultyMethods = {
    .iVersion = 2,
    .xClose =
        [](sqlite3_file* f) { return real(f)->pMethods != nullptr ? real(f)->pMethods->xClose(real(f)) : 0; },
    .xRead = [](sqlite3_file* f, void* b, int n,
                sqlite3_int64 at) { return real(f)->pMethods->xRead(real(f), b, n, at); },
    .xWrite = write_or_fail,
    .xTruncate = [](sqlite3_file* f,
                    sqlite3_int64 size) { return real(f)->pMethods->xTruncate(real(f), size); },
    .xSync = sync_or_fail,
    .xFileSize = [](sqlite3_file* f,
                    sqlite3_int64* size) { return real(f)->pMethods->xFileSize(real(f), size); },
    .xLock = [](sqlite3_file* f, int level) { return real(f)->pMethods->xLock(real(f), level); },
    .xUnlock = [](sqlite3_file* f, int level) { return real(f)->pMethods->xUnlock(real(f), level); },
    .xCheckReservedLock = [](sqlite3_file* f,
                             int* out) { return real(f)->pMethods->xCheckReservedLock(real(f), out); },
    .xFileControl = [](sqlite3_file* f, int op,
                       void* arg) { return real(f)->pMethods->xFileControl(real(f), op, arg); },
    .xSectorSize = [](sqlite3_file* f) { return real(f)->pMethods->xSectorSize(real(f)); },
    .xDeviceCharacteristics =
        [](sqlite3_file* f) { return real(f)->pMethods->xDeviceCharacteristics(real(f)); },
    .xShmMap =
        [](sqlite3_file* f, int region, int size, int extend, void volatile** out) {
          return real(f)->pMethods->xShmMap(real(f), region, size, extend, out);
        },
    .xShmLock = [](sqlite3_file* f, int at, int n,
                   int flags) { return real(f)->pMethods->xShmLock(real(f), at, n, flags); },
    .xShmBarrier = [](sqlite3_file* f) { real(f)->pMethods->xShmBarrier(real(f)); },
    .xShmUnmap = [](sqlite3_file* f, int del) { return real(f)->pMethods->xShmUnmap(real(f), del); },
    .xFetch = nullptr,
    .xUnfetch = nullptr,
};

// Makes the faulty file system SQLite's default while it lives.
class FaultyDisk {
 public:
  FaultyDisk() : real_(sqlite3_vfs_find(nullptr)), faulty_(*real_) {
    faulty_.zName = "faulty";
    faulty_.pAppData = real_;
    faulty_.szOsFile = static_cast<int>(sizeof(FaultyFile)) + real_->szOsFile;
    faulty_.xOpen = [](sqlite3_vfs* self, const char* name, sqlite3_file* file, int flags, int* out) {
      auto* opened = reinterpret_cast<FaultyFile*>(file);
      std::memset(opened, 0, sizeof *opened);
      opened->real = reinterpret_cast<sqlite3_file*>(opened + 1);
      opened->real->pMethods = nullptr;
      opened->is_log = (flags & SQLITE_OPEN_WAL) != 0;
      auto* next = static_cast<sqlite3_vfs*>(self->pAppData);
      const int code = next->xOpen(next, name, opened->real, flags, out);
      if (opened->real->pMethods != nullptr) opened->base.pMethods = &kFaultyMethods;
      return code;
    };
    disk_fault = DiskFault::none;
    sqlite3_vfs_register(&faulty_, 1);
  }
  FaultyDisk(const FaultyDisk&) = delete;
  FaultyDisk& operator=(const FaultyDisk&) = delete;
  ~FaultyDisk() {
    disk_fault = DiskFault::none;
    sqlite3_vfs_unregister(&faulty_);
    sqlite3_vfs_register(real_, 1);
  }

 private:
  sqlite3_vfs* real_;
  sqlite3_vfs faulty_;
};

constexpr Database::Statement kInsertItem{"INSERT INTO items (id) VALUES ($1)"};
constexpr Database::Statement kCountItems{"SELECT count(*) FROM items"};

void insert_in_one(Database& database, int64_t id) {
  database.begin();
  database.execute(kInsertItem, {id});
  database.commit();
}

TEST(Sqlite, FilesAreForTheirOwnerOnlyWhateverTheUmask) {
  const TemporaryDirectory directory;
  const mode_t before = ::umask(0);
  const auto connector = sqlite_connector(directory / "store.db");
  const auto writer = connector->open_writer();
  writer->run_script("CREATE TABLE items (id BIGINT PRIMARY KEY)");
  ::umask(before);
  for (const std::string name : {"store.db", "store.db-wal", "store.db-shm", "store.db.lock"}) {
    struct stat found {};
    ASSERT_EQ(::stat((directory / name).c_str(), &found), 0) << name;
    EXPECT_EQ(found.st_mode & 0777U, 0600U) << name;
  }
}

TEST(Sqlite, ASecondProcessIsRefusedWithAPlainMessage) {
  const TemporaryDirectory directory;
  const auto connector = sqlite_connector(directory / "store.db");
  const auto writer = connector->open_writer();
  const pid_t child = ::fork();
  if (child == 0) {
    try {
      sqlite_connector(directory / "store.db")->open_writer();
    } catch (const StoreUnavailable& refused) {
      ::_exit(std::strstr(refused.what(), "in use by another process") != nullptr ? 42 : 43);
    }
    ::_exit(44);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 42);
}

TEST(Sqlite, ASecondNameForTheSameFileIsRefusedToo) {
  const TemporaryDirectory directory;
  const auto connector = sqlite_connector(directory / "store.db");
  const auto writer = connector->open_writer();
  std::filesystem::create_symlink(directory / "store.db", directory / "alias.db");
  EXPECT_THROW(sqlite_connector(directory / "alias.db")->open_writer(), StoreUnavailable);
  EXPECT_THROW(
      sqlite_connector(directory / "../" +
                       std::filesystem::path(directory / "").parent_path().filename().string() + "/store.db")
          ->open_reader(),
      StoreUnavailable);
}

TEST(Sqlite, TheLockIsLetGoWithTheLastConnection) {
  const TemporaryDirectory directory;
  auto connector = sqlite_connector(directory / "store.db");
  auto reader = connector->open_reader();
  connector.reset();
  EXPECT_THROW(sqlite_connector(directory / "store.db")->open_writer(), StoreUnavailable);
  reader.reset();
  EXPECT_NO_THROW(sqlite_connector(directory / "store.db")->open_writer());
}

TEST(Sqlite, APathThatCannotBeUsedIsUnavailable) {
  const TemporaryDirectory directory;
  EXPECT_THROW(sqlite_connector("")->open_writer(), StoreUnavailable);
  EXPECT_THROW(sqlite_connector(directory / "missing/store.db")->open_writer(), StoreUnavailable);
  std::filesystem::create_directory(directory / "folder");
  EXPECT_THROW(sqlite_connector(directory / "folder")->open_writer(), StoreUnavailable);
}

TEST(Sqlite, AFileThatIsNoDatabaseIsUnavailable) {
  const TemporaryDirectory directory;
  std::FILE* file = std::fopen((directory / "store.db").c_str(), "w");
  for (int i = 0; i < 1000; ++i) std::fputs("this is not a database\n", file);
  std::fclose(file);
  EXPECT_THROW(sqlite_connector(directory / "store.db")->open_writer(), StoreUnavailable);
}

TEST(Sqlite, MemoryIsSharedByOneConnectorAndByNoOther) {
  const auto connector = sqlite_connector(":memory:");
  const auto writer = connector->open_writer();
  writer->run_script("CREATE TABLE items (id BIGINT PRIMARY KEY)");
  insert_in_one(*writer, 1);
  EXPECT_EQ(one_integer(*connector->open_reader(), kCountItems), 1);
  const auto other = sqlite_connector(":memory:");
  EXPECT_THROW(one_integer(*other->open_writer(), kCountItems), std::runtime_error);
}

TEST(Sqlite, DoubleQuotesNeverMakeText) {
  const auto connector = sqlite_connector(":memory:");
  EXPECT_THROW(one_integer(*connector->open_writer(), {"SELECT \"1\""}), std::runtime_error);
}

TEST(Sqlite, EveryCommitSyncsTheLog) {
  const TemporaryDirectory directory;
  const FaultyDisk disk;
  const auto connector = sqlite_connector(directory / "store.db");
  const auto writer = connector->open_writer();
  writer->run_script("CREATE TABLE items (id BIGINT PRIMARY KEY)");
  for (int64_t id = 0; id < 5; ++id) {
    const int before = syncs_of_log;
    insert_in_one(*writer, id);
    EXPECT_GT(syncs_of_log, before);
  }
}

TEST(Sqlite, ACommitReachesTheLogInPiecesNotPageByPage) {
  const TemporaryDirectory directory;
  const FaultyDisk disk;
  const auto connector = sqlite_connector(directory / "store.db");
  const auto writer = connector->open_writer();
  const auto reader = connector->open_reader();
  writer->run_script("CREATE TABLE items (id BIGINT PRIMARY KEY, note TEXT)");
  const int before = writes_of_log;
  const std::string page(4000, 'x');
  writer->begin();
  for (int64_t id = 0; id < 30; ++id) {
    writer->execute({"INSERT INTO items (id, note) VALUES ($1, $2)"}, {id, std::string_view(page)});
  }
  EXPECT_EQ(writes_of_log, before) << "nothing is written before the commit";
  writer->commit();
  EXPECT_LE(writes_of_log - before, 4) << "more than 30 pages, at most 64 KiB a write";
  EXPECT_EQ(one_integer(*reader, {"SELECT count(*) FROM items"}), 30);
}

TEST(Sqlite, AFullDiskIsUnavailableAndLaterWritesWorkAgain) {
  const TemporaryDirectory directory;
  const FaultyDisk disk;
  const auto connector = sqlite_connector(directory / "store.db");
  const auto writer = connector->open_writer();
  writer->run_script("CREATE TABLE items (id BIGINT PRIMARY KEY)");
  disk_fault = DiskFault::is_full;
  EXPECT_THROW(insert_in_one(*writer, 1), StoreUnavailable);
  writer->rollback();
  disk_fault = DiskFault::none;
  insert_in_one(*writer, 2);
  EXPECT_EQ(one_integer(*writer, {"SELECT min(id) FROM items"}), 2);
}

TEST(Sqlite, AfterAFailedSyncTheHandleIsNotUsedAgainAndTheLogIsWrittenAnew) {
  const TemporaryDirectory directory;
  const FaultyDisk disk;
  const auto connector = sqlite_connector(directory / "store.db");
  const auto writer = connector->open_writer();
  writer->run_script("CREATE TABLE items (id BIGINT PRIMARY KEY)");
  const auto reader = connector->open_reader();  // keeps SQLite's shared index of the log alive
  EXPECT_EQ(one_integer(*reader, kCountItems), 0);
  insert_in_one(*writer, 1);

  disk_fault = DiskFault::sync_fails;
  EXPECT_THROW(insert_in_one(*writer, 2), StoreUnavailable);
  EXPECT_THROW(writer->query(kCountItems, {}, ignore), StoreUnavailable) << "the handle is closed for good";
  writer->rollback();
  EXPECT_THROW(writer->begin(), StoreUnavailable) << "the log cannot be settled while syncing fails";

  disk_fault = DiskFault::none;
  writer->begin();
  EXPECT_EQ(std::filesystem::file_size(directory / "store.db-wal"), 0U)
      << "nothing is built on a doubtful log";
  writer->execute(kInsertItem, {int64_t{3}});
  writer->commit();
  EXPECT_EQ(one_integer(*reader, {"SELECT count(*) FROM items WHERE id IN (1, 3)"}), 2);
}

TEST(Sqlite, AFailedWriteIsUnavailableAndTheNextTransactionOpensTheFileAnew) {
  const TemporaryDirectory directory;
  const FaultyDisk disk;
  const auto connector = sqlite_connector(directory / "store.db");
  const auto writer = connector->open_writer();
  writer->run_script("CREATE TABLE items (id BIGINT PRIMARY KEY)");
  disk_fault = DiskFault::cannot_write;
  EXPECT_THROW(insert_in_one(*writer, 1), StoreUnavailable);
  writer->rollback();
  disk_fault = DiskFault::none;
  insert_in_one(*writer, 2);
  EXPECT_EQ(one_integer(*writer, kCountItems), 1);
}

TEST(Sqlite, TheLogIsCheckpointedByMaintainAndStartsOver) {
  const TemporaryDirectory directory;
  const auto connector = sqlite_connector(directory / "store.db");
  const auto writer = connector->open_writer();
  const auto reader = connector->open_reader();
  writer->run_script("CREATE TABLE items (id BIGINT PRIMARY KEY, note TEXT)");
  const std::string page(4000, 'x');
  const auto write_pages = [&](int64_t from) {
    writer->begin();
    for (int64_t id = from; id < from + 1000; ++id) {
      writer->execute({"INSERT INTO items (id, note) VALUES ($1, $2)"}, {id, std::string_view(page)});
    }
    writer->commit();
  };
  uintmax_t largest = 0;
  for (int64_t round = 0; round < 20; ++round) {
    write_pages(round * 1000);
    writer->maintain();
    EXPECT_EQ(one_integer(*reader, kCountItems), (round + 1) * 1000);
    largest = std::max(largest, std::filesystem::file_size(directory / "store.db-wal"));
  }
  EXPECT_GT(largest, uintmax_t{4} << 20);
  EXPECT_LT(largest, uintmax_t{48} << 20) << "80 MiB were written";

  // A reader that looks at old rows holds the log; nothing breaks, and it shrinks again afterwards.
  reader->begin_read();
  EXPECT_EQ(one_integer(*reader, kCountItems), 20000);
  for (int64_t round = 20; round < 30; ++round) {
    write_pages(round * 1000);
    writer->maintain();
  }
  EXPECT_EQ(one_integer(*reader, kCountItems), 20000);
  reader->commit();
  for (int64_t round = 30; round < 36; ++round) {
    write_pages(round * 1000);
    writer->maintain();
  }
  EXPECT_EQ(one_integer(*reader, kCountItems), 36000);
  EXPECT_LT(std::filesystem::file_size(directory / "store.db-wal"), uintmax_t{64} << 20);
}

TEST(Sqlite, ClosingAReaderLastCheckpointsNothing) {
  const TemporaryDirectory directory;
  const auto connector = sqlite_connector(directory / "store.db");
  auto writer = connector->open_writer();
  auto reader = connector->open_reader();
  writer->run_script("CREATE TABLE items (id BIGINT PRIMARY KEY)");
  insert_in_one(*writer, 1);
  EXPECT_EQ(one_integer(*reader, kCountItems), 1);
  writer.reset();
  reader.reset();
  EXPECT_GT(std::filesystem::file_size(directory / "store.db-wal"), 0U);
  EXPECT_EQ(one_integer(*connector->open_writer(), kCountItems), 1);
}

}  // namespace
}  // namespace behalf::test
