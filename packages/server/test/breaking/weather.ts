import type { Scenario, Step } from '@longhaul/testing'

/** What the model is like at the moment. */
export interface Weather {
  model: 'fair' | 'overloaded' | 'cutting'
}

/** The scenario, with the faults of the weather: each turn meets one at most. */
export function inWeather(scenario: Scenario, weather: Weather): Scenario {
  return (conversation) => {
    const step = scenario(conversation)
    if (step === undefined || weather.model === 'fair') return step
    return { ...step, fault: faultOf(weather.model) }
  }
}

function faultOf(model: 'overloaded' | 'cutting'): NonNullable<Step['fault']> {
  if (model === 'cutting') return { kind: 'cut', times: Infinity }
  return { kind: 'status', status: 529, retryAfterS: 1, times: Infinity }
}
