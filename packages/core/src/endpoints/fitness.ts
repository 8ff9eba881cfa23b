// Whether a server's role is the one that was asked for.

import type { Role, Target } from '../driver.js'

/** `spare`: to be had if nothing better comes. A role that is not known suits who does not ask for one. */
export function fitness(target: Target, role: Role | undefined): 'fits' | 'spare' | 'unfit' {
  switch (target) {
    case 'any':
      return 'fits'
    case 'read-write':
      return role === 'primary' ? 'fits' : 'unfit'
    case 'read-only':
      return role === 'standby' || role === 'read-only' ? 'fits' : 'unfit'
    case 'primary':
      return role === 'primary' || role === 'read-only' ? 'fits' : 'unfit'
    case 'standby':
      return role === 'standby' ? 'fits' : 'unfit'
    case 'prefer-standby':
      return role === 'standby' ? 'fits' : 'spare'
  }
}

/** There is one such server at a time: that another one shows the role says that this one has lost it. */
export function isSingular(target: Target): boolean {
  return target === 'primary' || target === 'read-write'
}
