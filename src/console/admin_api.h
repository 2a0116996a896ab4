// The administration API: JSON over its own listener, a Unix socket that only its owner can open. The command
// line is its client. Every change is a decision of the operator and leaves its audit record in the same
// transaction.
#pragma once

#include "base/task.h"
#include "http/message.h"
#include "oauth/services.h"

namespace behalf::console {

class AdminApi {
 public:
  explicit AdminApi(oauth::Services& services) : services_(services) {}
  Task<http::Response> handle(http::Request& request);

 private:
  Task<http::Response> apply(http::Request& request);
  Task<http::Response> set_status(http::Request& request, std::string_view kind, Status status);
  Task<http::Response> revoke_grant(http::Request& request);
  Task<http::Response> list_grants(http::Form query);
  Task<http::Response> show_lineage(http::Form query);
  Task<http::Response> list_audit(http::Form query);
  Task<http::Response> report_lineage(http::Form query);
  Task<http::Response> export_state();

  oauth::Services& services_;
};

}  // namespace behalf::console
