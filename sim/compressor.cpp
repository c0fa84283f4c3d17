#include "sim/compressor.h"

#include <algorithm>
#include <cmath>

namespace penstock::sim {
namespace {

constexpr double kAtmosphereBar = 1.013;
constexpr double kPolytropic = 1.25;  // oil-injected screw: between isothermal and adiabatic
constexpr double kPi = 3.14159265358979323846;

double rounded(double value, double resolution) {
  return std::round(value / resolution) * resolution;
}

// Shaft power to compress `flow` (free air, m³/min) to `gauge` bar, in kW, before losses.
double compression_kw(double flow_m3_min, double gauge_bar) {
  const double ratio = (gauge_bar + kAtmosphereBar) / kAtmosphereBar;
  const double exponent = (kPolytropic - 1) / kPolytropic;
  const double inlet_pa = kAtmosphereBar * 1e5;
  return inlet_pa * flow_m3_min / 60 / exponent * (std::pow(ratio, exponent) - 1) / 1000;
}

}  // namespace

std::string_view name(Fault fault) {
  switch (fault) {
    case Fault::kNone:
      return "none";
    case Fault::kValveLeak:
      return "valve leak";
    case Fault::kBearingWear:
      return "bearing wear";
    case Fault::kFouledCooler:
      return "fouled cooler";
  }
  return "none";
}

Compressor::Compressor(CompressorParameters parameters, uint64_t seed, Timestamp start)
    : p_(parameters),
      random_(seed),
      now_(start),
      pressure_bar_(parameters.load_pressure_bar + 0.2) {
  run_hours_ = 8'000 + static_cast<double>(seed % 9'000);
  demand_drift_ = noise(0.05);
}

void Compressor::set_fault(Fault fault, Timestamp onset, Duration growth, double severity) {
  fault_ = fault;
  onset_ = onset;
  growth_ = growth;
  severity_ = severity;
}

double Compressor::fault_level(Timestamp at) const {
  if (fault_ == Fault::kNone || at < onset_) return 0;
  return severity_ *
         std::min(1.0, (at - onset_).as_seconds() / std::max(growth_.as_seconds(), 1.0));
}

// Two shifts, a lunch dip, and what the consumers do on their own (an Ornstein-Uhlenbeck walk, 90
// s).
double Compressor::demand_m3_min(double dt_s) {
  demand_drift_ += -demand_drift_ * dt_s / 90 + noise(0.06 * std::sqrt(2 * dt_s / 90));
  const double hour = static_cast<double>(now_.us % Duration::days(1).us) / 3.6e9;
  const double shift = 0.75 + 0.25 * std::tanh(3 * std::sin((hour - 6) / 24 * 2 * kPi));
  return std::clamp(p_.demand_share * shift + demand_drift_, 0.1, 0.95) * p_.rated_flow_m3_min;
}

CompressorReadings Compressor::advance(Duration step) {
  now_ = now_ + step;
  const double dt = step.as_seconds();
  const double level = fault_level(now_);
  const double leak = fault_ == Fault::kValveLeak ? level : 0;
  const double wear = fault_ == Fault::kBearingWear ? level : 0;
  const double fouling = fault_ == Fault::kFouledCooler ? level : 0;

  const double hour = static_cast<double>(now_.us % Duration::days(1).us) / 3.6e9;
  ambient_drift_ += -ambient_drift_ * dt / 1800 + noise(0.8 * std::sqrt(2 * dt / 1800));
  const double ambient = 24 + 4 * std::sin((hour - 9) / 24 * 2 * kPi) + ambient_drift_;

  // Receiver: what goes in less what is taken, at constant temperature.
  if (pressure_bar_ <= p_.load_pressure_bar) loaded_ = true;
  if (pressure_bar_ >= p_.unload_pressure_bar) loaded_ = false;
  const double speed = p_.rated_speed_rpm * (1 - 0.004 * (loaded_ ? 1 : 0.2)) * (1 - 0.003 * wear);
  const double delivered =
      loaded_ ? p_.rated_flow_m3_min * (speed / p_.rated_speed_rpm) * (1 - 0.30 * leak) : 0;
  const double taken = demand_m3_min(dt);
  pressure_bar_ += kAtmosphereBar * (delivered - taken) / 60 * dt / p_.receiver_m3;
  pressure_bar_ = std::clamp(pressure_bar_, 3.0, 9.0);

  // Power: the screw compresses what it takes in, leak or not; unloaded it idles at a quarter.
  const double taken_in = loaded_ ? p_.rated_flow_m3_min : 0.18 * p_.rated_flow_m3_min;
  const double shaft =
      compression_kw(taken_in, pressure_bar_) / 0.86 + 0.09 * p_.rated_power_kw * (1 + 0.5 * wear);
  const double power = shaft / 0.945;

  // Oil: takes nearly all heat, gives it to the ambient through the cooler; thermostat holds it
  // above 60.
  const double heat_kw = 0.82 * power + 2.0 * wear + 0.12 * power * leak;
  const double cooler_kw_k = 1.22 * p_.rated_power_kw / 75 * (1 - 0.55 * fouling) *
                             std::clamp((oil_c_ - 55) / 12, 0.25, 1.0);
  const double oil_kj_k = 95 * p_.rated_power_kw / 75;
  oil_c_ += (heat_kw - cooler_kw_k * (oil_c_ - ambient)) / oil_kj_k * dt;
  const double discharge_target = oil_c_ + 4 + 5.5 * shaft / p_.rated_power_kw + 14 * leak;
  discharge_c_ += (discharge_target - discharge_c_) * std::min(1.0, dt / 20);
  run_hours_ += dt / 3600;

  const double power_factor = 0.88 - (loaded_ ? 0 : 0.35);
  const double vibration = (loaded_ ? 1.9 : 1.4) + 0.10 * (pressure_bar_ - 7) + 0.5 * leak +
                           5.2 * wear * wear + 1.2 * wear;

  CompressorReadings r;
  r.discharge_pressure_bar = rounded(pressure_bar_ + noise(0.012), 0.01);
  r.oil_temperature_c = rounded(oil_c_ + noise(0.08), 0.1);
  r.discharge_temperature_c = rounded(discharge_c_ + noise(0.12), 0.1);
  r.ambient_temperature_c = rounded(ambient + noise(0.06), 0.1);
  r.motor_current_a =
      rounded(power * 1000 / (std::sqrt(3.0) * p_.voltage_v * power_factor) + noise(0.5), 0.1);
  r.motor_speed_rpm = rounded(speed + noise(1.5), 1);
  r.vibration_velocity_mm_s =
      rounded(std::max(0.05, vibration * (1 + noise(0.045 + 0.08 * wear))), 0.01);
  r.flow_m3_min = rounded(std::max(0.0, delivered + (loaded_ ? noise(0.06) : 0)), 0.01);
  r.power_active_kw = rounded(power + noise(0.2), 0.1);
  r.load_state = loaded_;
  r.run_hours = rounded(run_hours_, 0.1);
  return r;
}

}  // namespace penstock::sim
