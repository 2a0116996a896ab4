// What a stream still has to be told: walks the revocations from where the
// stream is. Those that memory no longer has must be fetched from the store by
// the caller, who may wait as it can:
//
//   Outstanding batch(...);
//   while (auto range = batch.missing())
//   batch.take(list_revocations(range->after, range->limit));
#pragma once

#include <optional>

#include "oauth/signals/transmitter.h"

namespace behalf::oauth {

class Outstanding {
 public:
  // At most `most` items.
  Outstanding(Transmitter& transmitter, const SignalStream& stream, size_t most, UnixTime now);

  struct Range {
    int64_t after = 0;
    size_t limit = 0;
  };
  // Goes on as far as memory allows; what has to be fetched next, or nothing
  // when all is here.
  std::optional<Range> missing();
  void take(const store::RevocationList& fetched);

  const store::RevocationList& items() const { return items_; }
  int64_t seen() const { return seen_; }       // looked at until here
  bool has_more() const { return has_more_; }  // beyond `most`

 private:
  bool concerns(const Revocation& item) const;

  Transmitter& transmitter_;
  const SignalStream& stream_;
  size_t most_;
  UnixTime now_;
  store::RevocationList items_;
  int64_t seen_ = 0;
  int64_t newest_ = 0;  // before the last look
  bool has_more_ = false;
  bool is_complete_ = false;
};

}  // namespace behalf::oauth
