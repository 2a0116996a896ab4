// A stream of security events to one receiver (SSF 1.0 §8.1): what it asked for, and how far it has come.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/time.h"
#include "model/ids.h"

namespace behalf {

using StreamId = Id<struct StreamTag>;

enum class StreamStatus { kEnabled, kPaused, kDisabled };
std::string_view name_of(StreamStatus status);

struct SignalStream {
  StreamId id;
  ClientId client;
  int64_t cursor = 0;  // every revocation up to this has been received, or does not concern it
  UnixTime seen_at;    // when the receiver was last heard of
  StreamStatus status = StreamStatus::kEnabled;
  std::string status_reason;
  std::string description;
  std::vector<std::string> events_requested;  // empty: all
  std::string push_url;                       // empty: the receiver polls
  std::string push_authorization;             // sent as Authorization; a secret
  UnixTime verified_at;                       // when verification was last asked for
  std::string verification_jti;               // of the verification event that waits; empty: none does
  std::string verification_state;
  UnixTime created_at;
  std::string pusher;  // which server delivers it, until when; another takes over then
  UnixTime pusher_until;
};

}  // namespace behalf
