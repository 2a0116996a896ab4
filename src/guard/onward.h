// The request as the API gets it: nothing in it about who asks, or what is asked, that the guard did not see
// or write.
#pragma once

#include "guard/answers.h"
#include "http/forward.h"

namespace behalf::guard {

http::Forward onward(const Settings& settings, const http::Request& request, const IdentityHeaders& identity);

}  // namespace behalf::guard
