// How far each receiver has come. Acknowledgements may come in any order and
// more often than a commit is worth, so they are kept here and written a moment
// later; after a crash in between, what was acknowledged then is delivered once
// more, which every receiver must bear (docs/revocation-feed.md).
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <vector>

#include "model/signal_stream.h"
#include "store/revocation_log.h"

namespace behalf::oauth {

class Progress {
 public:
  // Takes over what the store knows of the stream, where that is more, and that
  // it was heard of at `now`.
  void meet(const SignalStream& stream, UnixTime now);
  void acknowledge(const StreamId& id, int64_t sequence);
  // Everything until here is done with, whether it was received or not.
  void skip_to(const StreamId& id, int64_t sequence);
  void forget(const StreamId& id);
  // Of the items, which follow each other, those that are still to be
  // delivered, at most `most`. What needs no delivery (`concerns` says no) or
  // has been received moves the stream forward, if nothing before it is
  // outstanding: `is_first` says that the items begin where the stream is.
  store::RevocationList outstanding(const StreamId& id, const store::RevocationList& items, size_t most,
                                    bool is_first, const std::function<bool(const Revocation&)>& concerns);
  int64_t cursor(const StreamId& id) const;
  UnixTime seen_at(const StreamId& id) const;

  struct Step {
    StreamId id;
    int64_t cursor = 0;
    UnixTime seen_at;
  };
  // What has changed since the last call and is worth writing.
  std::vector<Step> take_unwritten();
  // It could not be written.
  void put_back(const std::vector<Step>& steps);

 private:
  struct Place {
    int64_t cursor = 0;
    std::set<int64_t> ahead;  // received, above the cursor
    UnixTime seen_at;
    UnixTime written_seen_at;
    bool is_unwritten = false;
  };
  void move(Place& place, int64_t cursor);

  mutable std::mutex mutex_;
  std::map<StreamId, Place> places_;  // guarded by mutex_
};

}  // namespace behalf::oauth
