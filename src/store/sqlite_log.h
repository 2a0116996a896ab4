// A SQLite VFS that writes the write-ahead log in one piece a commit.
//
// SQLite hands over each page of a commit as two writes, a header of 24 bytes and the page. Here they are
// kept until the log is synced, read or cut, and then go to the file in one write: the same bytes at the same
// offsets, before the same fdatasync. Everything else is the system's own VFS.
#pragma once

namespace behalf::store {

// Registers the VFS if it is not yet, and returns its name for sqlite3_open_v2; null if there is no memory.
// Thread-safe.
const char* gathering_vfs();

}  // namespace behalf::store
