// The one list of what answers where.
#pragma once

#include <string>

#include "console/front_channel.h"
#include "console/templates.h"
#include "http/server.h"
#include "oauth/services.h"
#include "oauth/signals/transmitter.h"
#include "oauth/status_list.h"

namespace behalf::app {

// Style and icon: served from the binary, under names that change with their content.
class Assets {
 public:
  explicit Assets(const std::string& issuer);
  console::Templates::Assets urls() const;
  http::Response style() const;
  http::Response icon() const;

 private:
  std::string base_path_;
  std::string version_;
};

http::Limits public_limits(const std::string& issuer);
http::Handler make_public_handler(oauth::Services& services, oauth::Transmitter& transmitter,
                                  oauth::StatusLists& status_lists, console::FrontChannel& front_channel,
                                  const Assets& assets, const http::Listen& listen);

}  // namespace behalf::app
