// `behalf audit lineage`: the answer of the server's report as a tree for people.
#pragma once

#include <string>

#include "base/json.h"

namespace behalf::app {

struct LineageQuery {
  std::string config_path;
  std::string grant;
  std::string token;
  std::string user;
  std::string agent;
  bool as_json = false;
};
int show_lineage(const LineageQuery& query);

// The whole text, with a line break at the end of each line.
std::string draw_lineages(const json::Value& report, bool with_colours);

}  // namespace behalf::app
