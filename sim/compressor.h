#pragma once
// A screw compressor with its receiver, oil circuit and faults: enough physics that the sensors
// move together as they do in a plant, so that a model which learned the healthy relations can see
// a fault before a limit is hit.

#include <array>
#include <cstdint>
#include <random>
#include <string_view>

#include "base/time.h"

namespace penstock::sim {

enum class Fault : uint8_t {
  kNone,
  kValveLeak,  ///< the inlet valve recirculates: less flow and hotter discharge for the same power
  kBearingWear,   ///< vibration grows, and with it friction heat and current
  kFouledCooler,  ///< the oil cooler loses effectiveness: oil and discharge run hot at the same
                  ///< load
};
std::string_view name(Fault fault);

/// What the sensors say, with their noise and resolution. Names and units as in
/// packages/compressor-health.
struct CompressorReadings {
  double discharge_pressure_bar = 0;
  double oil_temperature_c = 0;
  double discharge_temperature_c = 0;
  double ambient_temperature_c = 0;
  double motor_current_a = 0;
  double motor_speed_rpm = 0;
  double vibration_velocity_mm_s = 0;
  double flow_m3_min = 0;
  double power_active_kw = 0;
  bool load_state = false;
  double run_hours = 0;
};

struct CompressorParameters {
  double rated_power_kw = 75;
  double rated_flow_m3_min = 13.5;
  double load_pressure_bar = 6.8;    ///< loads below
  double unload_pressure_bar = 7.5;  ///< unloads above
  double receiver_m3 = 3;
  double demand_share = 0.62;  ///< of the rated flow, on average
  double rated_speed_rpm = 2970;
  double voltage_v = 400;
};

/// Deterministic for a seed. Not thread-safe.
class Compressor {
 public:
  Compressor(CompressorParameters parameters, uint64_t seed, Timestamp start);

  /// Grows linearly from 0 at `onset` to `severity` (1 is a machine about to fail) over `growth`.
  void set_fault(Fault fault, Timestamp onset, Duration growth, double severity);
  [[nodiscard]] double fault_level(Timestamp at) const;

  /// Moves on by `step` (at most a few seconds: the state is integrated explicitly).
  CompressorReadings advance(Duration step);
  [[nodiscard]] Timestamp now() const { return now_; }

 private:
  double noise(double sigma) { return std::normal_distribution<double>(0, sigma)(random_); }
  double demand_m3_min(double dt_s);

  CompressorParameters p_;
  std::mt19937_64 random_;
  Timestamp now_;
  Fault fault_ = Fault::kNone;
  Timestamp onset_;
  Duration growth_;
  double severity_ = 0;

  // state
  bool loaded_ = true;
  double pressure_bar_;
  double oil_c_ = 71;
  double discharge_c_ = 79;
  double demand_drift_ = 0;
  double ambient_drift_ = 0;
  double run_hours_ = 0;
};

}  // namespace penstock::sim
