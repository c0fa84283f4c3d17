#pragma once
// Structured enough logs: log_info("mqtt", "client {} connected", id). Rate limits are the caller's
// duty on paths a peer can drive.

#include <string>
#include <string_view>

#include <fmt/core.h>

namespace penstock {

enum class LogLevel : unsigned char { kDebug, kInfo, kWarning, kError, kOff };

/// Sets what is printed to standard error from now on. Any thread.
void set_log_level(LogLevel level);
[[nodiscard]] bool log_enabled(LogLevel level);
void log_line(LogLevel level, std::string_view room, std::string_view text);

template <class... Args>
void log_at(LogLevel level, std::string_view room, fmt::format_string<Args...> format,
            Args&&... args) {
  if (log_enabled(level)) log_line(level, room, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void log_debug(std::string_view room, fmt::format_string<Args...> f, Args&&... args) {
  log_at(LogLevel::kDebug, room, f, std::forward<Args>(args)...);
}
template <class... Args>
void log_info(std::string_view room, fmt::format_string<Args...> f, Args&&... args) {
  log_at(LogLevel::kInfo, room, f, std::forward<Args>(args)...);
}
template <class... Args>
void log_warning(std::string_view room, fmt::format_string<Args...> f, Args&&... args) {
  log_at(LogLevel::kWarning, room, f, std::forward<Args>(args)...);
}
template <class... Args>
void log_error(std::string_view room, fmt::format_string<Args...> f, Args&&... args) {
  log_at(LogLevel::kError, room, f, std::forward<Args>(args)...);
}

}  // namespace penstock
