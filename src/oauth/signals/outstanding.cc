#include "oauth/signals/outstanding.h"

#include <algorithm>

#include "oauth/signals/security_event.h"

namespace behalf::oauth {
namespace {

constexpr size_t kChunk = 1024;

}  // namespace

Outstanding::Outstanding(Transmitter& transmitter, const SignalStream& stream, size_t most, UnixTime now)
    : transmitter_(transmitter), stream_(stream), most_(most), now_(now) {
  seen_ = transmitter_.progress().cursor(stream_.id);
}

bool Outstanding::concerns(const Revocation& item) const {
  const auto& wanted = stream_.events_requested;
  return item.until > now_ &&
         (wanted.empty() || std::find(wanted.begin(), wanted.end(), event_of(item)) != wanted.end());
}

std::optional<Outstanding::Range> Outstanding::missing() {
  while (!is_complete_) {
    newest_ = transmitter_.services().store.revocations().newest();
    auto recent = transmitter_.services().store.revocations().after(seen_, kChunk);
    if (!recent) return Range{.after = seen_, .limit = kChunk};
    take(*recent);
  }
  return std::nullopt;
}

void Outstanding::take(const store::RevocationList& fetched) {
  if (fetched.empty()) {
    is_complete_ = true;
    // What there was until then and is no longer kept concerns nobody.
    seen_ = std::max(seen_, newest_);
    if (items_.empty()) transmitter_.progress().skip_to(stream_.id, seen_);
    return;
  }
  const size_t room = most_ - items_.size();
  // One more than is wanted tells whether there is more.
  store::RevocationList found =
      transmitter_.progress().outstanding(stream_.id, fetched, room + 1, items_.empty(),
                                          [this](const Revocation& item) { return concerns(item); });
  has_more_ = found.size() > room;
  if (has_more_) found.resize(room);
  items_.insert(items_.end(), found.begin(), found.end());
  seen_ = fetched.back()->sequence;
  is_complete_ = has_more_;
}

}  // namespace behalf::oauth
