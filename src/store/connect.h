// Opening a database by its address.
#pragma once

#include <memory>
#include <string>

#include "store/database.h"

namespace behalf::store {

// Thread-safe. SQLite: a file path; the file is created for its owner only, and a second process on it is
// refused (by a lock on "<path>.lock", held as long as the connector or one of its connections lives).
// ":memory:", for tests, is a fresh file in memory that goes with the connector, so that it behaves as a file
// does. PostgreSQL: "postgresql://..." or "host=... dbname=...". A server that may lose what it acknowledged
// is refused.
class Connector {
 public:
  virtual ~Connector() = default;
  virtual std::unique_ptr<Database> open_writer() = 0;  // throws StoreUnavailable with a plain message
  virtual std::unique_ptr<Database> open_reader() = 0;  // sees what is committed; cannot write
};

std::unique_ptr<Connector> sqlite_connector(const std::string& path);
std::unique_ptr<Connector> postgres_connector(const std::string& dsn);

}  // namespace behalf::store
