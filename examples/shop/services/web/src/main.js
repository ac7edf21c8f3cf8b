// The shop's web service. Configuration arrives at run time: one image serves every environment.
import { createShop } from './shop.js';

const port = Number(process.env.PORT ?? 3000);
const shop = createShop({ currency: process.env.CURRENCY ?? 'USD', banner: process.env.BANNER ?? '' });

shop.listen(port, () => console.log(`shop: web listens on port ${port}`));

// what is being answered is answered; nothing new is begun
process.on('SIGTERM', () => shop.close(() => process.exit(0)));
