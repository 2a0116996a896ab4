// Registry entries, stored documents and audit records: what is accepted is written and read back as the same
// thing, and one parse is enough for ever.
#include <cstdlib>
#include <string>
#include <string_view>

#include "model/audit.h"
#include "model/registry_json.h"
#include "store/connect.h"
#include "store/documents.h"

namespace {

using namespace behalf;

template <class T>
void round_trip(const json::Value& value, Result<T, std::string> (*parse)(const json::Value&, Detail)) {
  for (const Detail detail : {Detail::kState, Detail::kStored}) {
    const auto thing = parse(value, detail);
    if (!thing) {
      if (thing.reason().empty()) std::abort();
      continue;
    }
    const json::Value written = to_json(*thing, detail);
    const auto again = parse(written, detail);
    if (!again || !(to_json(*again, detail) == written)) std::abort();
  }
}

template <class T>
void document(std::string_view text) {
  T thing;
  try {
    store::read_document(text, thing);
  } catch (const store::StoreUnavailable&) {
    return;  // damage is said, not guessed around
  }
  const std::string written = store::write_document(thing);
  T again;
  store::read_document(written, again);
  if (store::write_document(again) != written) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* bytes, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  if (const auto value = json::parse(text)) {
    round_trip<User>(*value, parse_user);
    round_trip<Agent>(*value, parse_agent);
    round_trip<Client>(*value, parse_client);
    round_trip<Resource>(*value, parse_resource);
    AuditRecord record;
    record.event = "fuzz";
    record.details = *value;
    const auto logged =
        json::parse(canonical_json(record, 1, UnixTime{1}), {.bytes = 1024 * 1024, .depth = 32});
    if (!logged) std::abort();
    const json::Value* details = logged->find("details");
    if (value->is_null() ? details != nullptr : details == nullptr || !(*details == *value)) std::abort();
  }
  document<Node>(text);
  document<Grant>(text);
  document<AuthorizationRequest>(text);
  document<Session>(text);
  AuditRecord record;
  record.event = std::string(text.substr(0, 40));
  record.reason = std::string(text);
  record.chain.actors.resize(1);
  record.chain.actors[0].id = std::string(text);
  // Whatever a field holds, a record is one JSON object on one line.
  if (canonical_json(record, 1, UnixTime{1}).find('\n') != std::string::npos) std::abort();
  return 0;
}
