// Opening a database by its address.
#pragma once

#include <memory>
#include <string>

#include "store/database.h"

namespace behalf::store {

// One connection for writing, one for reading. SQLite: a file path (or ":memory:" in tests, where both are one
// shared memory database). A second process on the same SQLite file is refused.
// PostgreSQL: "postgresql://..." or "host=... dbname=...".
class Connector {
 public:
  virtual ~Connector() = default;
  virtual std::unique_ptr<Database> open_writer() = 0;  // throws StoreUnavailable with a plain message
  virtual std::unique_ptr<Database> open_reader() = 0;
};

std::unique_ptr<Connector> sqlite_connector(const std::string& path);
std::unique_ptr<Connector> postgres_connector(const std::string& dsn);

}  // namespace behalf::store
