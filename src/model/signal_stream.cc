#include "model/signal_stream.h"

namespace behalf {

std::string_view name_of(StreamStatus status) {
  switch (status) {
    case StreamStatus::kEnabled:
      return "enabled";
    case StreamStatus::kPaused:
      return "paused";
    case StreamStatus::kDisabled:
      return "disabled";
  }
  return "disabled";
}

}  // namespace behalf
