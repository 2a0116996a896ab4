#include "store/sqlite_log.h"

#include <sqlite3.h>

#include <algorithm>
#include <cstddef>
#include <mutex>
#include <new>
#include <string>

namespace behalf::store {
namespace {

constexpr const char* kName = "behalf";
// More than a usual batch; a larger one goes out in several pieces.
constexpr size_t kMaxGathered = 1024 * 1024;
// SQLite's own VFS takes at most 128 KiB a call.
constexpr size_t kMaxPiece = 64 * 1024;

// The log's file as SQLite sees it. The system's own file object follows it in the same block of memory.
struct LogFile {
  sqlite3_file base;
  sqlite3_file* system;   // never null; its pMethods is null while it is not open
  std::string* gathered;  // bytes not yet written; contiguous
  sqlite3_int64 at;       // where they belong
};

LogFile& log_of(sqlite3_file* file) { return *reinterpret_cast<LogFile*>(file); }
const sqlite3_io_methods& system_of(const LogFile& log) { return *log.system->pMethods; }

// Writes out what was gathered. What could not be written is dropped: SQLite hears of it here, takes the
// transaction back, and never builds on those bytes (their frames lack a valid commit).
int write_out(LogFile& log) {
  if (log.gathered->empty()) return SQLITE_OK;
  int code = SQLITE_OK;
  for (size_t done = 0; done < log.gathered->size() && code == SQLITE_OK; done += kMaxPiece) {
    const size_t piece = std::min(kMaxPiece, log.gathered->size() - done);
    code = system_of(log).xWrite(log.system, log.gathered->data() + done, static_cast<int>(piece),
                                 log.at + static_cast<sqlite3_int64>(done));
  }
  log.gathered->clear();
  return code;
}

int close(sqlite3_file* file) {
  LogFile& log = log_of(file);
  const int code = write_out(log);
  delete log.gathered;
  log.gathered = nullptr;
  const int closed = system_of(log).xClose(log.system);
  return code != SQLITE_OK ? code : closed;
}

int read(sqlite3_file* file, void* out, int amount, sqlite3_int64 offset) {
  LogFile& log = log_of(file);
  if (const int code = write_out(log); code != SQLITE_OK) return code;
  return system_of(log).xRead(log.system, out, amount, offset);
}

int write(sqlite3_file* file, const void* bytes, int amount, sqlite3_int64 offset) {
  LogFile& log = log_of(file);
  const bool follows = log.at + static_cast<sqlite3_int64>(log.gathered->size()) == offset;
  if (!log.gathered->empty() && (!follows || log.gathered->size() >= kMaxGathered)) {
    if (const int code = write_out(log); code != SQLITE_OK) return code;
  }
  if (log.gathered->empty()) log.at = offset;
  try {
    log.gathered->append(static_cast<const char*>(bytes), static_cast<size_t>(amount));
  } catch (const std::bad_alloc&) {
    return SQLITE_IOERR_NOMEM;
  }
  return SQLITE_OK;
}

int truncate(sqlite3_file* file, sqlite3_int64 size) {
  LogFile& log = log_of(file);
  if (const int code = write_out(log); code != SQLITE_OK) return code;
  return system_of(log).xTruncate(log.system, size);
}

int sync(sqlite3_file* file, int flags) {
  LogFile& log = log_of(file);
  if (const int code = write_out(log); code != SQLITE_OK) return code;
  return system_of(log).xSync(log.system, flags);
}

int file_size(sqlite3_file* file, sqlite3_int64* size) {
  LogFile& log = log_of(file);
  if (const int code = write_out(log); code != SQLITE_OK) return code;
  return system_of(log).xFileSize(log.system, size);
}

int lock(sqlite3_file* file, int level) { return system_of(log_of(file)).xLock(log_of(file).system, level); }
int unlock(sqlite3_file* file, int level) {
  return system_of(log_of(file)).xUnlock(log_of(file).system, level);
}
int check_reserved_lock(sqlite3_file* file, int* out) {
  return system_of(log_of(file)).xCheckReservedLock(log_of(file).system, out);
}
int file_control(sqlite3_file* file, int operation, void* argument) {
  return system_of(log_of(file)).xFileControl(log_of(file).system, operation, argument);
}
int sector_size(sqlite3_file* file) { return system_of(log_of(file)).xSectorSize(log_of(file).system); }
int device_characteristics(sqlite3_file* file) {
  return system_of(log_of(file)).xDeviceCharacteristics(log_of(file).system);
}

// Version 1: a log is never mapped into memory, neither itself nor as shared memory.
constexpr sqlite3_io_methods kLogMethods = {.iVersion = 1,
                                            .xClose = close,
                                            .xRead = read,
                                            .xWrite = write,
                                            .xTruncate = truncate,
                                            .xSync = sync,
                                            .xFileSize = file_size,
                                            .xLock = lock,
                                            .xUnlock = unlock,
                                            .xCheckReservedLock = check_reserved_lock,
                                            .xFileControl = file_control,
                                            .xSectorSize = sector_size,
                                            .xDeviceCharacteristics = device_characteristics,
                                            .xShmMap = nullptr,
                                            .xShmLock = nullptr,
                                            .xShmBarrier = nullptr,
                                            .xShmUnmap = nullptr,
                                            .xFetch = nullptr,
                                            .xUnfetch = nullptr};

constexpr size_t kAlignment = alignof(std::max_align_t);
constexpr size_t kSystemFileAt = (sizeof(LogFile) + kAlignment - 1) / kAlignment * kAlignment;

sqlite3_vfs* system_vfs(sqlite3_vfs* self) { return static_cast<sqlite3_vfs*>(self->pAppData); }

int open(sqlite3_vfs* self, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  if ((flags & SQLITE_OPEN_WAL) == 0)
    return system_vfs(self)->xOpen(system_vfs(self), name, file, flags, out_flags);
  LogFile& log = log_of(file);
  log.base.pMethods = nullptr;
  log.system = reinterpret_cast<sqlite3_file*>(reinterpret_cast<char*>(file) + kSystemFileAt);
  log.system->pMethods = nullptr;
  log.at = 0;
  log.gathered = new (std::nothrow) std::string;
  if (log.gathered == nullptr) return SQLITE_NOMEM;
  const int code = system_vfs(self)->xOpen(system_vfs(self), name, log.system, flags, out_flags);
  if (code != SQLITE_OK) {
    if (log.system->pMethods != nullptr) log.system->pMethods->xClose(log.system);
    delete log.gathered;
    log.gathered = nullptr;
    return code;
  }
  log.base.pMethods = &kLogMethods;
  return SQLITE_OK;
}

}  // namespace

const char* gathering_vfs() {
  static std::mutex mutex;
  static sqlite3_vfs vfs;
  const std::lock_guard lock(mutex);
  // Counting what it allocates takes a lock for each allocation, and nobody reads the count. Refused, and of
  // no harm, where SQLite is already in use.
  if (vfs.pAppData == nullptr) sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  sqlite3_vfs* system = sqlite3_vfs_find(nullptr);
  if (system == nullptr) return nullptr;
  if (vfs.pAppData == system) return kName;
  // The first call; or tests have put another file system underneath.
  if (vfs.zName != nullptr) sqlite3_vfs_unregister(&vfs);
  vfs = *system;  // every function but xOpen: they ask only for names and the system's services
  vfs.pNext = nullptr;
  vfs.zName = kName;
  vfs.szOsFile = static_cast<int>(kSystemFileAt) + system->szOsFile;
  vfs.pAppData = system;
  vfs.xOpen = open;
  return sqlite3_vfs_register(&vfs, 0) == SQLITE_OK ? kName : nullptr;
}

}  // namespace behalf::store
