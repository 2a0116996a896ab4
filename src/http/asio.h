// Asio as this layer uses it: concrete executors throughout, for the type-erased default costs a fifth of the
// throughput. For the .cc files of http/ and nobody else.
#pragma once

#ifdef __SANITIZE_THREAD__
#pragma GCC diagnostic ignored "-Wtsan"  // Asio's fences, which that sanitizer does not model
#endif

#include <boost/asio.hpp>
#include <chrono>

namespace behalf::http {

namespace asio = boost::asio;
using boost::system::error_code;
using Executor = asio::io_context::executor_type;
template <class T>
using Awaitable = asio::awaitable<T, Executor>;
using Socket = asio::basic_stream_socket<asio::generic::stream_protocol, Executor>;
using Timer = asio::basic_waitable_timer<std::chrono::steady_clock,
                                         asio::wait_traits<std::chrono::steady_clock>, Executor>;
using Resume = asio::async_result<asio::use_awaitable_t<Executor>, void()>::handler_type;
inline constexpr asio::use_awaitable_t<Executor> kAwait{};

}  // namespace behalf::http
